"""The root sign stands on the line, whatever is under it."""

from docutils import nodes

from gallerykit.mathml import convert


def test_root_has_a_strut_under_it():
    math = convert(r"\sqrt u + \sqrt{\frac12}", nodes.math(), display=False)
    strut, *others = [part.partition("/>")[0] for part in math.split("<msqrt>")[1:]]
    assert strut == others[0] == '<mspace width="0" height="0.67em"'
