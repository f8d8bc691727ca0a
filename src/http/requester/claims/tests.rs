use serde_json::{Value, json};

use super::*;

const ID: &str = "6f2c5d1e-3b7a-4c19-9e8d-1a2b3c4d5e6f";

fn claims(value: Value) -> Claims {
    Claims::parse(value.to_string().as_bytes()).unwrap()
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn no_name_is_twice_at_any_depth() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":[{"b":1,"\u0062":2}]}"#,
        r#"{"a":1}{}"#,
        "[]",
        "7",
        "",
        r#"{"a":1e400}"#,
    ] {
        let problem = Claims::parse(text.as_bytes()).unwrap_err();
        assert_eq!(problem, "the claims are not a JSON object, or have a name twice", "{text}");
    }
    let all = json!({"a": [null, true, -1, 1, 1.5, "a"], "b": {"a": {"a": []}}});
    let found = |path| format!("{:?}", claims(all.clone()).find(path).unwrap());
    let expected = r#"List([Other(None), Other(Some(true)), Number(-1.0), Number(1.0), Number(1.5), Text("a")])"#;
    assert_eq!((found("a").as_str(), found("b.a.a").as_str()), (expected, "List([])"));
}

#[test]
fn a_token_is_valid_from_its_start_to_its_end() {
    let check = |value| claims(value).check_times(1000.5, Duration::from_secs(30));
    for (value, expected) in [
        (json!({"exp": 1001}), Ok(())),
        (json!({"exp": 970.6}), Ok(())),
        (json!({"exp": 970.5}), Err("the token has expired")),
        (json!({"exp": 0}), Err("the token has expired")),
        (json!({"exp": -1}), Err("the claim `exp` is not a time in seconds")),
        (json!({}), Err("the claim `exp` is missing")),
        (json!({"exp": null}), Err("the claim `exp` is not a time in seconds")),
        (json!({"exp": "1001"}), Err("the claim `exp` is not a time in seconds")),
        (json!({"exp": 253_402_300_799_u64}), Ok(())),
        (json!({"exp": 253_402_300_800_u64}), Err("the claim `exp` is after the year 9999; it must be in seconds")),
        (json!({"exp": 1001, "nbf": 1030.5}), Ok(())),
        (json!({"exp": 1001, "nbf": 1031}), Err("the token is not valid yet")),
        (json!({"exp": 1001, "nbf": -1}), Err("the claim `nbf` is not a time in seconds")),
        (json!({"exp": 1001, "nbf": null}), Err("the claim `nbf` is not a time in seconds")),
    ] {
        assert_eq!(check(value.clone()), expected.map_err(str::to_owned), "{value}");
    }
}

#[test]
fn an_issuer_is_one_string() {
    let check = |value| claims(value).check_issuer("https://issuer.example");
    for (value, expected) in [
        (json!({"iss": "https://issuer.example"}), Ok(())),
        (json!({"iss": "https://issuer.example/"}), Err("the token is of another issuer (`iss`)")),
        (json!({"iss": ["https://issuer.example"]}), Err("the claim `iss` is not a string")),
        (json!({}), Err("the claim `iss` is missing")),
    ] {
        assert_eq!(check(value.clone()), expected.map_err(str::to_owned), "{value}");
    }
}

#[test]
fn one_of_the_audiences_is_meant() {
    let check = |value| claims(value).check_audience(&texts(&["billing", "deletion"]));
    let other = Err("the token is for another audience (`aud`)");
    for (value, expected) in [
        (json!({"aud": "deletion"}), Ok(())),
        (json!({"aud": ["crm", "billing"]}), Ok(())),
        (json!({"aud": "billing,deletion"}), other),
        (json!({"aud": "crm"}), other),
        (json!({"aud": []}), other),
        (json!({"aud": ["deletion", 7]}), Err("the claim `aud` is a list with a value that is not a string")),
        (json!({"aud": null}), Err("the claim `aud` is not a string")),
        (json!({}), Err("the claim `aud` is missing")),
    ] {
        assert_eq!(check(value.clone()), expected.map_err(str::to_owned), "{value}");
    }
}

#[test]
fn a_required_claim_has_one_of_its_values() {
    let required = RequiredClaim { claim: "client.id".to_owned(), values: texts(&["a", "b"]) };
    let other = Err("the claim `client.id` does not have a required value");
    for (value, expected) in [
        (json!({"client.id": "a"}), Ok(())),
        (json!({"client": {"id": "b"}}), Ok(())),
        (json!({"client": {"id": ["c", "b"]}}), Ok(())),
        (json!({"client": {"id": "c"}}), other),
        (json!({"client": {"id": ""}}), other),
        (json!({"client": {"id": true}}), Err("the claim `client.id` is not a string")),
        (json!({"client": "a"}), Err("the claim `client.id` is missing")),
    ] {
        assert_eq!(claims(value.clone()).check_required(&required), expected.map_err(str::to_owned), "{value}");
    }
}

#[test]
fn a_claim_is_found_by_its_name_or_in_an_object() {
    let finds = |value, path| matches!(claims(value).find(path), Some(Claim::Number(number)) if *number == 1.0);
    for (value, path) in [
        (json!({"https://issuer.example/id": 1}), "https://issuer.example/id"),
        (json!({"attributes": {"id": 1}}), "attributes.id"),
        (json!({"attributes": {"id": 2}, "attributes.id": 1}), "attributes.id"),
        (json!({"access": {"my.client": {"roles": 1}}}), "access.my.client.roles"),
        (json!({"https://issuer.example": {"id": 1}}), "https://issuer.example.id"),
        (json!({"a": {"x": 2}, "a.b": {"c": 1}}), "a.b.c"),
    ] {
        assert!(finds(value.clone(), path), "{value}");
    }
    for path in ["attributes.", ".id", "attributes.id.id", "attributes..id", "id", "list.0"] {
        assert!(claims(json!({"attributes": {"id": 1}, "list": [1]})).find(path).is_none(), "{path}");
    }
}

#[test]
fn a_scope_is_a_word_of_a_string_or_an_element_of_a_list() {
    let has = |value| claims(value).have_scope("delete", &texts(&["scope", "access.roles"]));
    for value in [
        json!({"scope": "delete"}),
        json!({"scope": "openid delete"}),
        json!({"scope": ["openid", "delete"]}),
        json!({"scope": "openid", "access": {"roles": ["delete"]}}),
    ] {
        assert!(has(value.clone()), "{value}");
    }
    for value in [
        json!({}),
        json!({"scope": "delete:own"}),
        json!({"scope": ["openid delete"]}),
        json!({"scope": {"delete": true}}),
        json!({"scp": "delete", "roles": ["delete"]}),
    ] {
        assert!(!has(value.clone()), "{value}");
    }
}

#[test]
fn a_requester_is_one_uuid() {
    let id = |value| claims(value).id("id").map(|id| id.to_string());
    assert_eq!(id(json!({"id": ID})), Ok(ID.to_owned()));
    assert_eq!(id(json!({"id": [ID]})), Ok(ID.to_owned()));
    for (value, reason) in [
        (json!({}), "the claim `id` is missing"),
        (json!({"id": null}), "the claim `id` is not a string"),
        (json!({"id": 7}), "the claim `id` is not a string"),
        (json!({"id": {"id": ID}}), "the claim `id` is not a string"),
        (json!({"id": [[ID]]}), "the claim `id` is not a string"),
        (json!({"id": []}), "the claim `id` is a list of 0 values, not of one"),
        (json!({"id": [ID, ID]}), "the claim `id` is a list of 2 values, not of one"),
        (json!({"id": ""}), "the claim `id` is not a UUID"),
        (json!({"id": format!("{{{ID}}}")}), "the claim `id` is not a UUID"),
        (json!({"id": [format!("{ID} ")]}), "the claim `id` is not a UUID"),
    ] {
        assert_eq!(id(value.clone()), Err(reason.to_owned()), "{value}");
    }
}
