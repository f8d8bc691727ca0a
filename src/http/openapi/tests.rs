use std::collections::BTreeSet;

use super::*;
use crate::http::api_routes;

fn documents() -> [Value; 2] {
    let settings = Settings::default();
    let document = document(Some("X-Requester-Id"), true, CallLimits::from(&settings), "/");
    [document.clone(), Version::V3_0.of(document)]
}

/// Every value inside the document, with its path.
fn walk<'a>(path: &str, value: &'a Value, visit: &mut dyn FnMut(&str, &'a Value)) {
    visit(path, value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(&format!("{path}/[]"), item, visit)),
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, member)| walk(&format!("{path}/{}", name.replace('/', "~1")), member, visit));
        }
        _ => {}
    }
}

/// Paths and methods, with `{}` in place of every parameter.
fn calls(document: &Value) -> BTreeSet<(String, String)> {
    let mut calls = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            calls.insert((without_names(path), method.clone()));
        }
    }
    calls
}

fn without_names(path: &str) -> String {
    let mut parts = path.split('{');
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |path, part| path + "{}" + part.split_once('}').unwrap().1)
}

#[test]
fn every_route_is_in_the_document_and_the_document_has_no_other() {
    let mut routes = BTreeSet::new();
    for (path, methods, _) in api_routes() {
        for resource in Resource::ALL {
            // The list routes of a resource that takes no list only say so.
            let is_list = path.contains("{resource}") && !path.contains("{id}");
            if is_list && !resource.rules().takes_list {
                continue;
            }
            // HEAD is GET without a body.
            for method in methods.split(", ").filter(|method| *method != "HEAD") {
                let path = path.replace("{resource}", resource.word());
                routes.insert((without_names(&path), method.to_lowercase()));
            }
        }
    }
    assert_eq!(calls(&documents()[0]), routes);
}

#[test]
fn openapi_3_0_leaves_out_the_lists_of_delete_and_nothing_else() {
    let [newer, older] = documents();
    let left_out: BTreeSet<_> = calls(&newer).difference(&calls(&older)).cloned().collect();
    let with_lists = Resource::ALL.into_iter().filter(|resource| resource.rules().takes_list);
    let lists = with_lists.map(|resource| (format!("/api/v2/customer/{{}}/{}", resource.word()), "delete".to_owned()));
    assert_eq!(left_out, lists.collect::<BTreeSet<_>>());
    assert_eq!((&newer["openapi"], &older["openapi"]), (&json!("3.1.0"), &json!("3.0.3")));
}

#[test]
fn openapi_3_0_has_no_newer_keyword() {
    let [newer, older] = documents();
    let found = |document: &Value| {
        let mut found = BTreeSet::new();
        walk("", document, &mut |path, value| match path.rsplit_once('/').map(|(_, name)| name) {
            Some(name @ ("const" | "identifier")) => drop(found.insert(name.to_owned())),
            Some(name @ ("examples" | "type")) if value.is_array() => drop(found.insert(name.to_owned())),
            Some(name @ ("exclusiveMinimum" | "exclusiveMaximum" | "$defs" | "$id" | "prefixItems" | "webhooks")) => {
                panic!("{name}: version.rs does not rewrite it");
            }
            _ => {}
        });
        found
    };
    assert_eq!(found(&newer), ["const", "examples", "identifier", "type"].map(str::to_owned).into());
    assert_eq!(found(&older), BTreeSet::new());
    let call = &older["components"]["schemas"]["Call"]["properties"];
    assert_eq!((&call["completedAt"]["type"], &call["completedAt"]["nullable"]), (&json!("string"), &json!(true)));
    assert_eq!(older["components"]["schemas"]["Empty"]["enum"], json!([""]));
    assert_eq!(older["components"]["schemas"]["ErrorCode"]["example"], "GLOBAL_1001");
}

#[test]
fn every_failure_has_the_one_schema_and_names_its_codes() {
    for document in documents() {
        for (name, response) in document["components"]["responses"].as_object().unwrap() {
            let content = &response["content"]["application/json"];
            let description = response["description"].as_str().unwrap();
            for example in content["examples"].as_object().unwrap().values() {
                let code = example["value"]["errorCode"].as_str().unwrap();
                let is_failure = content["schema"]["$ref"] == "#/components/schemas/Failure";
                assert_eq!(is_failure, !code.is_empty(), "{name}");
                assert!(code.is_empty() || description.contains(&format!("`{code}`")), "{name}: {description}");
            }
        }
    }
}

#[test]
fn every_failure_is_also_a_problem_with_the_same_examples() {
    for document in documents() {
        for (name, response) in document["components"]["responses"].as_object().unwrap() {
            let [envelope, problem] =
                ["application/json", "application/problem+json"].map(|form| &response["content"][form]);
            let is_failure = envelope["schema"]["$ref"] == "#/components/schemas/Failure";
            assert_eq!(problem["schema"]["$ref"] == "#/components/schemas/Problem", is_failure, "{name}");
            for (example, problem) in problem["examples"].as_object().into_iter().flatten() {
                let code = &envelope["examples"][example]["value"]["errorCode"];
                let about = format!("urn:problem-type:customer-deletion:{}", code.as_str().unwrap());
                assert_eq!(
                    (&problem["value"]["errorCode"], &problem["value"]["type"]),
                    (code, &json!(about)),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn error_codes_are_an_open_list_with_every_code() {
    let [newer, _] = documents();
    let schema = &newer["components"]["schemas"]["ErrorCode"];
    assert_eq!((&schema["type"], schema.get("enum")), (&json!("string"), None));
    assert_eq!(schema["examples"], json!(Code::ALL.map(Code::word)));
    for code in Code::ALL {
        let item = format!("- `{}` ({}): `{}`\n", code.word(), code.status().as_u16(), code.message());
        assert!(schema["description"].as_str().unwrap().contains(&item), "{item}");
    }
}

#[test]
fn every_object_has_a_name() {
    for document in documents() {
        walk("", &document, &mut |path, value| {
            let named = path.strip_prefix("/components/schemas/").is_some_and(|name| !name.contains('/'));
            let is_object =
                value["type"] == "object" || value.get("properties").is_some_and(|it| it.get("type").is_none());
            assert!(named || !is_object || path.ends_with("/properties"), "{path}");
        });
    }
}

/// OpenAPI 3.0 ignores what stands beside a reference.
#[test]
fn every_reference_is_alone_and_leads_somewhere() {
    for document in documents() {
        let mut seen = BTreeSet::new();
        walk("", &document, &mut |path, value| {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return };
            assert_eq!(value.as_object().unwrap().len(), 1, "{path}");
            assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{path}: {reference}");
            seen.insert(reference.to_owned());
        });
        for kind in ["parameters", "headers", "responses", "schemas"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                assert!(seen.contains(&format!("#/components/{kind}/{name}")), "{name} is not used");
            }
        }
    }
}

#[test]
fn the_document_has_no_trace_of_the_template() {
    for document in documents() {
        walk("", &document, &mut |path, value| {
            assert!(!path.contains("/x-") && !path.contains("<<"), "{path}");
            assert!(!value.as_str().is_some_and(|text| text.contains("${")), "{path}: {value}");
        });
    }
}
