"""E-mail addresses in their compared forms."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sv_assets.identity.normalise import Email, email, emails

locals_ = st.from_regex(r"[a-z][a-z0-9]{3,10}(\.[a-z0-9]{1,6})?", fullmatch=True)
parts = st.text("abgmz019.-_+", min_size=1, max_size=12)
domains = parts | st.sampled_from(
    [
        "gmail.com",
        "googlemail.com",
        "Example.COM",
        "x.test",
        "a.local",
        "b.onion",
        "localhost",
        "x.arpa",
        "xn--a.com",
        "ab--c.de",
    ]
)


@given(st.text())
@example("\ud800@x.com")
@example("a@b.c" + "d" * 300)
@example("\0")
@example("ŉ@x.com")
@example("ß" * 64 + "@x.com")
@example("ΐ\u0345@x.com")
def test_any_text_has_a_settled_answer(text: str) -> None:
    for typed in (text, f"{text}@example.com", f"a@{text}.com"):
        found = email(typed)
        assert found is None or (email(found.match) == found and email(found.folded) == (found.folded, found.folded))


@given(st.emails())
def test_every_address_that_the_library_takes_settles(address: str) -> None:
    found = email(address)
    assert found is None or email(found.match) == found


@given(st.from_regex(emails._PLAIN, fullmatch=True) | st.builds("{}@{}".format, parts, domains))
@example("a@x.test")
@example("a@" + "b" * 63 + ".com")
@example("INFO@example.com")
@example("+@gmail.com")
def test_a_plain_address_gets_the_answer_of_the_library(address: str) -> None:
    assert email(address) == emails._by_library(address)


@given(locals_, st.sampled_from(["example.com", "mail.example.co.uk", "gmail.com"]), st.data())
def test_case_and_outer_space_do_not_matter(local: str, domain: str, data: st.DataObject) -> None:
    address = f"{local}@{domain}"
    typed = "".join(ch.upper() if data.draw(st.booleans()) else ch for ch in address)
    padding = data.draw(st.sampled_from(["", " ", "\t", " \n"]))
    assert email(padding + typed + padding) == email(address)
    assert email(address) is not None


@pytest.mark.parametrize(
    "raw", ["", "x@", "@x.com", "a b@c.com", "n/a", "none", "a@b@c.com", "a..b@c.com", "Jo <jo@x.com>"]
)
def test_what_is_no_address_is_none(raw: str) -> None:
    assert email(raw) is None


@pytest.mark.parametrize(
    ("raw", "match", "folded"),
    [
        ("Jane.Doe+shop@GMail.com", "jane.doe+shop@gmail.com", "janedoe@gmail.com"),
        ("j.a.n.e@googlemail.com", "j.a.n.e@googlemail.com", "jane@gmail.com"),
        ("jane.doe+shop@example.com", "jane.doe+shop@example.com", "jane.doe+shop@example.com"),
        ("+shop@gmail.com", "+shop@gmail.com", "+shop@gmail.com"),
        ("jö@MÜNCHEN.de", "jö@xn--mnchen-3ya.de", "jö@xn--mnchen-3ya.de"),
        ("jo@xn--mnchen-3ya.de", "jo@xn--mnchen-3ya.de", "jo@xn--mnchen-3ya.de"),
    ],
)
def test_only_gmail_is_folded_and_only_in_the_second_form(raw: str, match: str, folded: str) -> None:
    assert email(raw) == Email(match, folded)
