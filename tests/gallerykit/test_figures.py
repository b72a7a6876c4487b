"""Figures for two themes that say what they show, on gallery pages and on text pages."""

from __future__ import annotations

from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from sphinx.errors import ExtensionError

from gallerykit import figure_themes, figures

SVG = "{http://www.w3.org/2000/svg}"


def test_a_marker_edge_that_follows_its_line_is_turned_once():
    (line,) = plt.figure().add_subplot().plot([0, 1], "|", color="black")
    figure_themes.turn_neutral_colours(line)
    assert min(line.get_markeredgecolor()[:3]) > 0.8
    assert min(line.get_color()[:3]) > 0.8
    plt.close("all")


def test_figure_is_saved_for_both_themes_with_its_text(figure, tmp_path):
    light, dark = tmp_path / "a.svg", tmp_path / "a_dark.svg"
    figure_themes.save_pair(figure, light, dark, "rises & falls")
    for path in (light, dark):
        root = ElementTree.parse(path).getroot()
        assert root.findtext(".//{http://purl.org/dc/elements/1.1/}title") == "rises & falls"
        assert not root.findall(f".//{SVG}text")  # text is drawn: no font to fetch
    assert "stroke: #0072b2" in dark.read_text(encoding="utf-8").lower()
    assert light.read_bytes() != dark.read_bytes()


def test_figure_is_saved_with_the_same_bytes_again(tmp_path):
    saved = []
    for _ in range(2):
        fig, ax = plt.subplots()
        ax.hist([1, 2, 2, 3])
        for name in ("a.svg", "a_dark.svg"):
            (tmp_path / name).unlink(missing_ok=True)
        figure_themes.save_pair(fig, tmp_path / "a.svg", tmp_path / "a_dark.svg", "text")
        saved.append((tmp_path / "a.svg").read_bytes() + (tmp_path / "a_dark.svg").read_bytes())
        plt.close(fig)
    assert saved[0] == saved[1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda fig: fig.set_label(""), "no alternative text", id="no-alt"),
        pytest.param(lambda fig: fig.axes[0].set_xlabel(""), "no x-label", id="no-x"),
        pytest.param(lambda fig: fig.axes[0].set_ylabel(""), "no y-label", id="no-y"),
        pytest.param(
            lambda fig: fig.colorbar(fig.axes[0].imshow(np.eye(2))), "no label", id="no-bar"
        ),
    ],
)
def test_figure_that_does_not_explain_itself_is_refused(figure, tmp_path, spoil, message):
    spoil(figure)
    variables = {
        "src_file": "variant_1_x.py",
        "image_path_iterator": iter([str(tmp_path / "sphx_glr_x_001.png")]),
    }
    with pytest.raises(ExtensionError, match=rf"variant_1_x\.py: figure 001: .*{message}"):
        figures.scraper(None, variables, {"src_dir": str(tmp_path)})
    assert not plt.get_fignums()


def test_scraper_writes_two_images_with_escaped_text_and_size(figure, tmp_path):
    figure.set_label("a\nb")
    (tmp_path / "images").mkdir()
    script = tmp_path / "variant_1_x.py"
    script.write_text("# the first figure is the chosen one\n", encoding="utf-8")
    variables = {
        "src_file": str(script),
        "image_path_iterator": iter([str(tmp_path / "images" / "sphx_glr_x_001.png")]),
    }
    rst = figures.scraper(None, variables, {"src_dir": str(tmp_path)})
    assert rst.count(".. image:: /images/sphx_glr_x_001") == 2
    assert rst.count(":alt: a b\n") == rst.count(":width: 300\n") == 2
    assert rst.count("only-light") == rst.count("only-dark") == 1
    assert (tmp_path / "images" / "variant_1_x_card.png").is_file()


@pytest.mark.parametrize("hide", ["off", "no_ticks", "shared", "sup"])
def test_axes_without_a_need_for_labels_are_accepted(hide):
    fig, (first, second) = plt.subplots(2, 1, sharex=hide == "shared")
    fig.set_label("text")
    first.set(xlabel="x", ylabel="y")
    second.set_ylabel("y")
    if hide == "off":
        second.set_axis_off()
    elif hide == "no_ticks":
        second.set_xticks([])
    elif hide == "sup":
        fig.supxlabel("x")
    assert figure_themes.find_problems(fig) == []
    plt.close(fig)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [("black", 0.90), ("white", 0.08), ("none", None), ("#0072B2", None), ((0, 0, 0, 0), None)],
    ids=["black", "white", "none", "blue", "transparent"],
)
def test_only_visible_neutral_colours_turn_round(colour, expected):
    turned = figure_themes.turned(colour)
    assert (turned is None) if expected is None else np.allclose(turned[0, :3], expected)


def test_artist_marked_keep_keeps_its_colour(figure):
    text = figure.axes[0].text(0, 0, "on a bar", color="white", gid="keep")
    figure_themes.turn_neutral_colours(text)
    assert text.get_color() == "white"


def test_heavy_scatter_is_rasterized_and_small_image_kept_as_pixels(figure, tmp_path):
    cloud = figure.axes[0].scatter(*np.zeros((2, 3000)))
    image = figure.axes[0].imshow(np.eye(8))
    figure_themes.save_pair(figure, tmp_path / "a.svg", tmp_path / "b.svg", "")
    assert cloud.get_rasterized()
    assert image.get_interpolation() == "none"
    assert (tmp_path / "a.svg").stat().st_size < 100_000  # 3,000 vector points took 450 kB


def test_chosen_figure_is_saved_in_pixels(figure, tmp_path):
    assert figures.chosen_figure("# sphinx_gallery_thumbnail_number = 3\n") == 3
    assert figures.chosen_figure("x = 1\n") == 1
    figure_themes.save_card(figure, tmp_path / "card.png")
    with Image.open(tmp_path / "card.png") as card:
        assert card.width == figure_themes.CARD_WIDTH


FIGURE = """
import matplotlib.pyplot as plt
fig, ax = plt.subplots()
ax.plot([1, 2], [3, 4])
ax.set(xlabel="a", ylabel="b")
fig.set_label("The line rises from 3 to 4.")
"""


def figure_page(small_site, folder, script):
    (folder / "theory" / "figures").mkdir(parents=True)
    (folder / "theory" / "figures" / "line.py").write_text(script, encoding="utf-8")
    page = "Page\n====\n\n.. figure-script:: figures/line.py\n"
    files = {"index.rst": "Top\n===\n\n.. toctree::\n\n   theory/page\n", "theory/page.rst": page}
    return small_site(folder, files, "gallerykit.figure_script")


def test_figure_of_a_text_page_is_drawn_for_both_themes_with_its_code(small_site, tmp_path):
    assert figure_page(small_site, tmp_path / "site", FIGURE) == ""
    html = (tmp_path / "site" / "out" / "theory" / "page.html").read_text(encoding="utf-8")
    assert html.count('alt="The line rises from 3 to 4."') == 2
    assert "The code of this figure" in html
    assert (tmp_path / "site" / "out" / "_images" / "line_dark.svg").is_file()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (FIGURE.replace('ylabel="b"', ""), "axes 0 has no y-label"),
        (FIGURE + "plt.figure()\n", "draws 2 figures; draw one"),
        ("raise KeyError('x')\n", "line.py raised KeyError: 'x'"),
    ],
    ids=["no label", "two figures", "error"],
)
def test_figure_script_that_fails_is_reported_at_its_place(small_site, tmp_path, script, message):
    assert message in figure_page(small_site, tmp_path / "site", script)
