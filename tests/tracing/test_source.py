"""Which lines count as one statement."""
from webscale.source import lines_of

SOURCE = '''@decorated
def both(a,
         b):
    """Says nothing."""
    if (a and
            b):
        return call(
            a,
            b,
        )
    for x in a: pass
    try:
        a = 1
    except (ValueError,
            TypeError):
        a = 2
    match a:
        case 1:
            b = 2
    return """
not indented"""'''.splitlines()


def lit(*ran):
    """The numbers of the lines that are lit when Python reports these."""
    return [line.number for line in lines_of([{"first_line": 11, "source": SOURCE}], ran) if line.ran]


def test_a_statement_of_several_lines_is_lit_whole():
    assert lit(18) == [17, 18, 19, 20]


def test_of_a_statement_with_a_body_only_the_head_is_lit():
    assert lit(15) == [15, 16]
    assert lit(21) == [21]
    assert lit(22) == [22]
    assert lit(24) == [24, 25]
    assert lit(27) == [27]


def test_text_at_the_margin_does_no_harm():
    assert lit(30) == [30, 31]


def test_pieces_stand_in_the_order_of_the_file():
    pieces = [{"first_line": 20, "source": ["def b(): pass"]}, {"first_line": 3, "source": ["def a():", "    pass"]}]

    assert [(line.number, line.ran) for line in lines_of(pieces, {4})] == [(3, False), (4, True), (20, False)]


def test_a_piece_that_does_not_stand_alone_is_lit_line_by_line():
    piece = [{"first_line": 1, "source": ["x = (lambda: [", "    1,"]}]

    assert [line.ran for line in lines_of(piece, {2})] == [False, True]
