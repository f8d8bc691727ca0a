//! Fills in a template. The comment at the top of `openapi.yaml` explains the notation.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The values of placeholders, by name.
pub type Words = Map<String, Value>;

/// # Panics
///
/// If the value is not an object. Every function here panics if the template is wrong; tests fill
/// it in.
pub fn words(value: Value) -> Words {
    match value {
        Value::Object(words) => words,
        other => panic!("the template must have an object in place of {other}"),
    }
}

/// Reads YAML, with its merge keys.
pub fn parse(text: &str) -> Value {
    let mut template: yaml_serde::Value = yaml_serde::from_str(text).expect("the template is YAML");
    template.apply_merge().expect("merge keys name objects");
    serde_json::to_value(template).expect("the template has only text for keys")
}

/// Fills in a template. Its top-level members that begin with `x-` are data for this, and are left
/// out.
pub fn fill(template: &Value, general: &Words, resources: &[Words]) -> Value {
    let mut template = template.clone();
    if let Some(members) = template.as_object_mut() {
        members.retain(|name, _| !name.starts_with("x-"));
    }
    fill_value(&template, general, resources)
}

fn fill_value(template: &Value, words: &Words, resources: &[Words]) -> Value {
    match template {
        Value::String(text) => fill_text(text, words),
        Value::Array(items) => fill_items(items, words, resources).into(),
        Value::Object(members) => fill_members(members, words, resources).into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => template.clone(),
    }
}

fn fill_items(items: &[Value], words: &Words, resources: &[Words]) -> Vec<Value> {
    let mut filled = Vec::new();
    for item in items {
        for words in repetitions(&item.to_string(), words, resources) {
            if is_kept(item, &words) {
                filled.push(fill_value(item, &words, resources));
            }
        }
    }
    filled
}

fn fill_members(members: &Map<String, Value>, words: &Words, resources: &[Words]) -> Map<String, Value> {
    let mut filled = Map::new();
    for (name, member) in members.iter().filter(|(name, _)| *name != "x-if") {
        for words in repetitions(name, words, resources) {
            if is_kept(member, &words) {
                insert(&mut filled, as_text(fill_text(name, &words)), fill_value(member, &words, resources));
            }
        }
    }
    filled
}

/// Returns the words for each resource if the text has a placeholder of a resource. Such
/// repetitions do not nest.
fn repetitions<'w>(text: &str, words: &'w Words, resources: &[Words]) -> Vec<Cow<'w, Words>> {
    let is_named = |name: &String| text.contains(&format!("${{{name}}}"));
    if words.contains_key("resource") || !resources.iter().flat_map(Map::keys).any(is_named) {
        return vec![Cow::Borrowed(words)];
    }
    let with_words_of = |resource: &Words| {
        let both = words.clone().into_iter().chain(resource.clone());
        Cow::Owned(both.collect())
    };
    resources.iter().map(with_words_of).collect()
}

fn is_kept(value: &Value, words: &Words) -> bool {
    let Some(Value::String(condition)) = value.get("x-if") else { return true };
    words.get(condition).is_some_and(|word| *word != Value::Bool(false))
}

/// If a resource has one code for two rules, the code gets both texts.
fn insert(members: &mut Map<String, Value>, name: String, value: Value) {
    let value = match (members.get(&name), value) {
        (Some(Value::String(first)), Value::String(second)) => format!("{first} Or: {second}").into(),
        (_, value) => value,
    };
    members.insert(name, value);
}

/// A text that is nothing but a placeholder becomes its value, which may be a number or a list.
fn fill_text(text: &str, words: &Words) -> Value {
    let Some((before, rest)) = text.split_once("${") else { return text.into() };
    let (name, after) = rest.split_once('}').unwrap_or_else(|| panic!("a placeholder does not end: {text}"));
    let word = words.get(name).unwrap_or_else(|| panic!("`${{{name}}}` has no value: {text}"));
    if before.is_empty() && after.is_empty() {
        return word.clone();
    }
    format!("{before}{}{}", as_text(word.clone()), as_text(fill_text(after, words))).into()
}

fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
