"use strict";
/* The reader's guess: a slider on the number line; afterwards the line with law and measurement.
   Every text is the page's own: this file chooses one by the slider's position, and knows no word. */
(() => {
  const store = (card, value) => {
    const key = "guess/" + card.dataset.guess;
    try {
      if (value === undefined) return localStorage.getItem(key);
      if (value === null) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    } catch { /* private mode, or no storage for files: the guess lasts as long as the page */ }
    return null;
  };

  const el = (name, attributes, ...children) => {
    const node = Object.assign(document.createElement(name), attributes);
    node.append(...children);
    return node;
  };

  for (const card of document.querySelectorAll(".guess")) {
    const fold = card.querySelector("details");
    if (!fold) continue;
    const { guess: key, values: texts, words: said } = card.dataset;
    const values = JSON.parse(texts), words = JSON.parse(said), last = values.length - 1;
    const answers = document.querySelectorAll(`.guess-answer[data-guess="${key}"]`);
    const slider = el("input", { type: "range", min: 0, max: last, id: "guess-" + key });
    slider.value = Math.round(last / 2);
    const shown = el("output", { htmlFor: slider.id });
    const button = el("button", { type: "button" });
    const status = el("p", { className: "guess-says" });
    status.setAttribute("aria-live", "polite");

    const move = () => {
      shown.textContent = values[slider.value];
      slider.setAttribute("aria-valuetext", values[slider.value]);
    };
    const show = guessed => {
      card.classList.toggle("guessed", guessed);
      fold.open = guessed;
      button.textContent = guessed ? words.again : words.button;
      status.textContent = guessed ? JSON.parse(answers[0].dataset.says)[slider.value] : "";
      for (const answer of answers) {
        const mine = answer.querySelector(".yours");
        answer.classList.toggle("with-guess", guessed);
        answer.querySelector(".guess-line .guess-guess").setAttribute("x", 100 * slider.value / last + "%");
        mine.hidden = !guessed;
        mine.lastChild.textContent = words.guess.replace("{guess}", values[slider.value]);
      }
    };
    slider.addEventListener("input", move);
    button.addEventListener("click", () => {
      const guessed = !card.classList.contains("guessed");
      store(card, guessed ? slider.value : null);
      show(guessed);
    });

    card.classList.add("live");
    card.querySelector(".guess-stage").prepend(
      el("label", { htmlFor: slider.id }, words.label + " ", shown), slider);
    fold.before(status, button);
    const kept = store(card);
    if (kept !== null) slider.value = kept;
    move();
    show(kept !== null);
  }
})();
