"""Sign up, log in, who am I, log out."""


def test_a_new_account_can_log_in_and_is_told_who_it_is(visitor):
    visitor.log_in(seller=True)

    response = visitor.get("/account")

    assert response.status_code == 200
    assert response.json()["email"] == visitor.email
    assert response.json()["seller"] is True


def test_an_email_address_can_sign_up_once(pat):
    response = pat.post("/accounts", json={"email": pat.email, "password": "another one"})

    assert response.status_code == 409
    assert response.json()["field"] == "email"


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(pat, visitor):
    wrong = visitor.post("/session", json={"email": pat.email, "password": "wrong"})
    unknown = visitor.post("/session", json={"email": "nobody@example.com", "password": "wrong"})

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json()["detail"] == unknown.json()["detail"]


def test_after_logout_the_cookie_is_worth_nothing(pat):
    cookie = pat.session.cookies["session"]

    pat.delete("/session")
    response = pat.get("/account", headers={"Cookie": f"session={cookie}"})

    assert response.status_code == 401


def test_every_login_makes_a_new_token_and_ends_the_former(pat):
    former = pat.session.cookies["session"]

    pat.post("/session", json={"email": pat.email, "password": "correct horse"})
    pat.session.cookies.set("other", "x")

    assert pat.session.cookies["session"] != former
    assert pat.get("/account").status_code == 200
    pat.session.cookies.clear()
    assert pat.get("/account", headers={"Cookie": f"session={former}"}).status_code == 401


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(pat):
    response = pat.post("/session", json={"email": pat.email, "password": "correct horse"})

    cookie = response.headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie   # plain HTTP, but to this machine only


def test_the_cookie_is_secure_under_any_other_name(pat):
    response = pat.post("/session", json={"email": pat.email, "password": "correct horse"}, headers={"Host": "shop.example"})

    assert "Secure" in response.headers["Set-Cookie"]


def test_logging_out_twice_is_fine(pat):
    assert pat.delete("/session").status_code == 204
    assert pat.delete("/session").status_code == 204


def test_a_forged_session_is_nobody(visitor):
    response = visitor.get("/account", headers={"Cookie": "session=" + "A" * 43})

    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"
