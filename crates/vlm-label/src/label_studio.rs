//! Label Studio's files: tasks and labelling configuration out, annotations in.
//!
//! A task holds its images as data URLs, so that nothing has to be served, and what is needed to know them
//! again. Control names are the keys of the answer's JSON object: an annotation is read as that object,
//! through the same strict reader as a model's answer. Both JSON exports are read: of JSON-MIN, which has one object an
//! annotation, those of a task are put together. A skipped task, an empty annotation, and one whose annotator is not known any more are
//! missing answers. Left out: the export as CSV; drafts and predictions, which nobody submitted.

use std::collections::BTreeMap;

use contract::{GranuleId, TileId};
use serde_json::{Map, Value, json};

use crate::draw::Image;
use crate::form::{CHOICES, Form};
use crate::picture::Picture;
use crate::prompt::Prompt;

/// An image with its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Granule and tile.
    pub image: Image,
    /// The cluster that it stands for.
    pub cluster: u32,
}

/// What an annotator did with a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// Label Studio's number of the annotator; none if the account was deleted.
    pub annotator: Option<u64>,
    /// Whether it was skipped.
    pub skipped: bool,
    /// The values by control, as a JSON object; empty if nothing was filled in.
    pub answer: String,
}

/// A task with its annotations.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotated {
    /// The image, or the left one.
    pub left: Subject,
    /// The right image of a pair.
    pub right: Option<Subject>,
    /// Submitted and skipped annotations, in the order of the file.
    pub annotations: Vec<Annotation>,
}

/// One task.
///
/// # Errors
/// A picture that cannot be encoded.
pub fn task(
    prompt: &Prompt,
    left: (&Subject, &Picture),
    right: Option<(&Subject, &Picture)>,
) -> anyhow::Result<Value> {
    let mut data = json!({"prompt": prompt.id, "prompt_hash": prompt.hash});
    let sides = [("left", Some(left)), ("right", right)];
    for (side, (subject, picture)) in sides.into_iter().filter_map(|(side, shown)| Some((side, shown?))) {
        data[side] = picture.data_url()?.into();
        data[format!("{side}_granule")] = subject.image.0.as_str().into();
        data[format!("{side}_tile")] = subject.image.1.to_string().into();
        data[format!("{side}_cluster")] = subject.cluster.into();
    }
    Ok(json!({ "data": data }))
}

/// The labelling configuration: the prompt's question, the image or images, one control a key of the answer.
pub fn config(prompt: &Prompt) -> String {
    let mut lines = vec!["<View>".to_owned()];
    lines.extend(
        question(&prompt.body)
            .iter()
            .map(|text| format!("  <Header value=\"{}\" size=\"4\"/>", escaped(text))),
    );
    let image = |side: &str| format!("<Image name=\"{side}\" value=\"${side}\" zoom=\"true\"/>");
    let number = |key: &str, most: u32, step: &str| {
        format!(
            "<Number name=\"{key}\" toName=\"left\" min=\"0\" max=\"{most}\" step=\"{step}\" required=\"true\"/>"
        )
    };
    match &prompt.form {
        Form::Score => {
            lines.extend([format!("  {}", image("left")), format!("  {}", number("score", 100, "1"))])
        }
        Form::Shares(classes) => {
            lines.push(format!("  {}", image("left")));
            for class in classes {
                lines.push(format!("  <Header value=\"{class}\" size=\"5\"/>"));
                lines.push(format!("  {}", number(class, 1, "0.05")));
            }
        }
        Form::Choice => {
            lines.push("  <View style=\"display: flex; gap: 1em\">".into());
            lines.extend(
                ["left", "right"].map(|side| format!("    <View style=\"flex: 1\">{}</View>", image(side))),
            );
            lines.push("  </View>".into());
            lines.push(
                "  <Choices name=\"choice\" toName=\"left\" choice=\"single\" required=\"true\">".into(),
            );
            lines.extend(CHOICES.map(|word| format!("    <Choice value=\"{word}\"/>")));
            lines.push("  </Choices>".into());
        }
    }
    lines.push("</View>\n".into());
    lines.join("\n")
}

/// The paragraphs of a body but for the last two: how to write JSON, which a person does not.
fn question(body: &str) -> Vec<String> {
    let all: Vec<String> =
        body.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    all[..all.len().saturating_sub(2)].to_vec()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The tasks of an export with their annotations.
///
/// # Errors
/// Says at which task, counted from 1, what was wanted and found.
pub fn read(text: &str, prompt: &Prompt) -> Result<Vec<Annotated>, String> {
    let tasks: Vec<Value> = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|_| "want Label Studio's JSON export, a list of tasks".to_owned())?;
    let mut all: Vec<Annotated> = Vec::new();
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    for (place, task) in tasks.iter().enumerate() {
        let read = annotated(task, prompt).map_err(|wrong| format!("task {}: {wrong}", place + 1))?;
        // JSON-MIN repeats a task for each of its annotations
        let again = task["id"].as_u64().filter(|_| task["data"].is_null());
        let known = again.and_then(|id| places.get(&id)).and_then(|place| all.get_mut(*place));
        match known {
            Some(known) if (&known.left, &known.right) == (&read.left, &read.right) => {
                known.annotations.extend(read.annotations);
            }
            _ => {
                again.map(|id| places.insert(id, all.len()));
                all.push(read);
            }
        }
    }
    Ok(all)
}

fn annotated(task: &Value, prompt: &Prompt) -> Result<Annotated, String> {
    let is_min = task["data"].is_null() && task.get("prompt_hash").is_some();
    let data = if is_min { task } else { &task["data"] };
    let data =
        data.as_object().ok_or("want `data` (the JSON export) or our own keys (JSON-MIN), got neither")?;
    let hash = data.get("prompt_hash").and_then(Value::as_str).unwrap_or_default();
    if hash != prompt.hash {
        return Err(format!("want a task of prompt {}, got one of another prompt or version", prompt.id));
    }
    let right = data.contains_key("right_tile").then(|| subject(data, "right")).transpose()?;
    if right.is_some() != (prompt.form == Form::Choice) {
        return Err("want two images for a choice and one for all else, got it the other way round".into());
    }
    let annotations = match (is_min, &task["annotations"]) {
        (true, _) => vec![flat(data, prompt)?],
        (false, Value::Array(made)) => {
            made.iter().map(|one| annotation(one, prompt)).collect::<Result<_, _>>()?
        }
        (false, _) => return Err("want `annotations`, got none".into()),
    };
    Ok(Annotated { left: subject(data, "left")?, right, annotations })
}

fn subject(data: &Map<String, Value>, side: &str) -> Result<Subject, String> {
    let text = |what: &str| {
        let value = data.get(&format!("{side}_{what}")).and_then(Value::as_str);
        value.ok_or_else(|| format!("want `{side}_{what}`, got none"))
    };
    let granule: GranuleId = text("granule")?.parse().map_err(|e: contract::Error| e.to_string())?;
    let tile: TileId = text("tile")?.parse().map_err(|e: contract::Error| e.to_string())?;
    let cluster = data.get(&format!("{side}_cluster")).and_then(Value::as_u64);
    let cluster = cluster.and_then(|number| u32::try_from(number).ok());
    let cluster = cluster.ok_or_else(|| format!("want `{side}_cluster`, a whole number"))?;
    Ok(Subject { image: (granule, tile), cluster })
}

fn annotation(made: &Value, prompt: &Prompt) -> Result<Annotation, String> {
    let annotator = annotator(&made["completed_by"]);
    let skipped = made["was_cancelled"].as_bool().unwrap_or(false);
    let results = match &made["result"] {
        Value::Null => &Vec::new(),
        result => result.as_array().ok_or("want `result`, a list, got something else")?,
    };
    let mut answer = Map::new();
    for result in results {
        let (key, value) = filled(result, &prompt.form)?;
        if answer.insert(key.to_owned(), value).is_some() {
            return Err(format!("want one value of `{key}`, got two"));
        }
    }
    let answer = if answer.is_empty() { String::new() } else { Value::Object(answer).to_string() };
    Ok(Annotation { annotator, skipped, answer })
}

/// The number of an annotator, alone or in an account; a deleted account has none.
fn annotator(by: &Value) -> Option<u64> {
    by.as_u64().or_else(|| by["id"].as_u64())
}

/// The one annotation of an object of JSON-MIN.
fn flat(task: &Map<String, Value>, prompt: &Prompt) -> Result<Annotation, String> {
    let keys: Vec<&str> = match &prompt.form {
        Form::Shares(classes) => classes.iter().map(String::as_str).collect(),
        Form::Score => vec!["score"],
        Form::Choice => vec!["choice"],
    };
    let mut answer = Map::new();
    for key in keys {
        let Some(value) = task.get(key).filter(|value| !value.is_null()) else { continue };
        answer.insert(key.to_owned(), bare(value, key)?);
    }
    let by = task.get("annotator").and_then(annotator);
    let skipped = task.get("was_cancelled").and_then(Value::as_bool).unwrap_or(false);
    let answer = if answer.is_empty() { String::new() } else { Value::Object(answer).to_string() };
    Ok(Annotation { annotator: by, skipped, answer })
}

/// A value of JSON-MIN: itself, or in a list of one, or under the name of its control.
fn bare(value: &Value, key: &str) -> Result<Value, String> {
    match value {
        Value::Array(one) if one.len() == 1 => bare(&one[0], key),
        Value::Object(fields) => {
            let inside = fields.get("number").or_else(|| fields.get("choices"));
            inside.map_or_else(
                || Err(format!("want one number or choice at `{key}`, got something else")),
                |v| bare(v, key),
            )
        }
        Value::Array(_) => Err(format!("want one value of `{key}`, got several")),
        other => Ok(other.clone()),
    }
}

/// The control of a result and its value: a number, or the one chosen word.
fn filled<'a>(result: &'a Value, form: &Form) -> Result<(&'a str, Value), String> {
    let key = result["from_name"].as_str().ok_or("want `from_name` in a result, got none")?;
    let known = match form {
        Form::Shares(classes) => classes.iter().any(|class| class == key),
        Form::Score => key == "score",
        Form::Choice => key == "choice",
    };
    if !known {
        return Err(format!("want controls of our labelling configuration, got `{key}`"));
    }
    let value = &result["value"];
    match (form, result["type"].as_str(), value["choices"].as_array().map(Vec::as_slice)) {
        (Form::Choice, Some("choices"), Some([word])) => Ok((key, word.clone())),
        (Form::Score | Form::Shares(_), Some("number"), _) => Ok((key, value["number"].clone())),
        _ => Err(format!("want one number or choice at `{key}`, got something else")),
    }
}
