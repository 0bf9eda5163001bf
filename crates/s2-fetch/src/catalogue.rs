//! All items of a granule in a catalogue: a static one is walked, an API is searched, page by page.
//!
//! What is held is bounded in memory, and so are requests: a page that brings nothing new ends the search.

mod document;
mod held;

use std::collections::{BTreeSet, VecDeque};

use anyhow::{Context, bail};
use geo::BoundingRect;
use serde_json::{Map, Value, json};
use tracing::debug;
use url::Url;

use crate::catalogue::held::{Held, Refused};
use crate::choose::Wanted;
use crate::guard::shown;
use crate::stac::{Item, granule_key, is_mgrs};
use crate::wire::Wire;
use crate::{items, tiling};

const MAX_DOCUMENTS: usize = 100_000;
const MAX_PAGES: usize = 1000;
/// Some APIs look through their items in steps, and have none in some.
const MAX_EMPTY_PAGES: usize = 10;
const ITEMS_A_PAGE: u32 = 100;

/// Finds the items that may be of the wanted granule and dates; the choice checks them again.
///
/// # Errors
/// If a document cannot be read or is no STAC.
pub(crate) async fn items(wire: &Wire, wanted: &Wanted, collection: &str) -> anyhow::Result<Vec<Item>> {
    let root_url = wire.catalogue().clone();
    if root_url.path().ends_with(".parquet") {
        return items::of_table(wire.bytes(&root_url).await?, &root_url, &wanted.granule);
    }
    let mut held = Held::of(&wanted.granule);
    let root = read(wire, &root_url, None, &mut held).await?;
    match search_link(&root, &root_url) {
        Some(search) => search_api(wire, &search, wanted, collection).await,
        None => walk(wire, root_url, root, held).await,
    }
}

/// Reads a document; the items of its array `features` are added to those that are held.
async fn read(wire: &Wire, url: &Url, body: Option<&Value>, held: &mut Held) -> anyhow::Result<Value> {
    let bytes = wire.document(url, body).await?;
    let read = document::read(&bytes, |feature| Ok(held.add(parse(&feature, url)?)?));
    read.map_err(|error| match error.downcast::<Refused>() {
        Ok(Refused(why)) => Refused(format!("{}: {why}", shown(url))).into(),
        Err(error) => anyhow::anyhow!("{}: {error:#}", shown(url)),
    })
}

/// Reads a static catalogue, breadth first, each document once.
async fn walk(wire: &Wire, root_url: Url, root: Value, mut held: Held) -> anyhow::Result<Vec<Item>> {
    let mut seen = BTreeSet::from([root_url.clone()]);
    let mut queue = VecDeque::from([(root_url, Some(root))]);
    while let Some((url, document)) = queue.pop_front() {
        let document = match document {
            Some(document) => document,
            None => read(wire, &url, None, &mut held).await?,
        };
        match document.get("type").and_then(Value::as_str) {
            Some("Feature") => {
                let item = parse(&document, &url).with_context(|| shown(&url))?;
                held.add(item).with_context(|| shown(&url))?;
            }
            Some("FeatureCollection") => {}
            Some("Catalog" | "Collection") => {
                for link in links(&document, &["item", "child", "items"]) {
                    let next = url
                        .join(link)
                        .with_context(|| format!("{}: a link that is no address", shown(&url)))?;
                    if seen.insert(next.clone()) {
                        queue.push_back((next, None));
                    }
                    if seen.len() > MAX_DOCUMENTS {
                        bail!(
                            "{}: want at most {MAX_DOCUMENTS} documents, found more; use a search API",
                            shown(wire.catalogue())
                        );
                    }
                }
            }
            other => bail!(
                "{}: want a STAC catalogue or item, found {}",
                shown(&url),
                other.map_or_else(|| "no type".to_owned(), |other| format!("type {other}"))
            ),
        }
    }
    Ok(held.into_items())
}

/// Where and how an API is searched.
#[derive(Debug, Clone)]
struct Search {
    url: Url,
    post: bool,
}

fn search_link(root: &Value, base: &Url) -> Option<Search> {
    let all: Vec<_> =
        link_objects(root).filter(|l| l.get("rel").and_then(Value::as_str) == Some("search")).collect();
    let is_post = |l: &&&Value| l.get("method").and_then(Value::as_str) == Some("POST");
    let link = all.iter().find(is_post).or_else(|| all.first())?;
    let url = base.join(link.get("href")?.as_str()?).ok()?;
    Some(Search { url, post: is_post(&link) })
}

/// Searches by granule, in the two ways that providers name it, and last by its place alone, for an API that can ask for no property.
/// An API that ignores the property gives neighbours too: the choice leaves them out.
async fn search_api(
    wire: &Wire,
    search: &Search,
    wanted: &Wanted,
    collection: &str,
) -> anyhow::Result<Vec<Item>> {
    let granule = granule_key(&wanted.granule);
    let padded = if is_mgrs(&granule) { format!("{granule:0>5}") } else { granule.clone() };
    let mut question = Map::new();
    question.insert("collections".into(), json!([collection]));
    question.insert("datetime".into(), json!(span(wanted)));
    question.insert("limit".into(), json!(ITEMS_A_PAGE));
    let boxes = bboxes(&wanted.granule)?;
    for (property, value) in [("s2:mgrs_tile", padded.clone()), ("grid:code", format!("MGRS-{padded}"))] {
        let query = Some(json!({property: {"eq": value}}));
        let mut held = Held::of(&granule);
        match in_boxes(wire, search, &question, &boxes, query, &mut held).await {
            Ok(()) if held.has_granule() => return Ok(held.into_items()),
            Err(error) if stage::code(&error) == Some(stage::TRY_LATER) || error.is::<Refused>() => {
                return Err(error);
            }
            Ok(()) => {}
            Err(error) => debug!("{error:#}; asking without the property {property}"),
        }
    }
    let mut held = Held::of(&granule);
    in_boxes(wire, search, &question, &boxes, None, &mut held).await?;
    Ok(held.into_items())
}

/// West, south, east, north of a granule: two across the antimeridian, none for other names.
fn bboxes(granule: &str) -> anyhow::Result<Vec<[f64; 4]>> {
    let Some(found) = tiling::granule(granule)? else { return Ok(Vec::new()) };
    let extents = found.footprint.0.iter().filter_map(BoundingRect::bounding_rect);
    Ok(extents.map(|e| [e.min().x, e.min().y, e.max().x, e.max().y]).collect())
}

/// Asks in each of the boxes, or everywhere if there is none.
async fn in_boxes(
    wire: &Wire,
    search: &Search,
    question: &Map<String, Value>,
    boxes: &[[f64; 4]],
    query: Option<Value>,
    held: &mut Held,
) -> anyhow::Result<()> {
    let boxes = if boxes.is_empty() { vec![None] } else { boxes.iter().map(Some).collect() };
    for bbox in boxes {
        let mut question = question.clone();
        question.extend(bbox.map(|bbox| ("bbox".to_owned(), json!(bbox))));
        question.extend(query.clone().map(|query| ("query".to_owned(), query)));
        pages(wire, search, question, held).await?;
    }
    Ok(())
}

/// From the first of all days to the last; the choice looks at each range.
fn span(wanted: &Wanted) -> String {
    let first = wanted.periods.iter().map(|p| p.from.as_str()).min().unwrap_or("..");
    let last = wanted.periods.iter().map(|p| p.to.as_str()).max().unwrap_or("..");
    format!("{first}T00:00:00Z/{last}T23:59:59Z")
}

/// Follows pages to their end. A page of which every item has come before is the same page under another address.
async fn pages(
    wire: &Wire,
    search: &Search,
    question: Map<String, Value>,
    held: &mut Held,
) -> anyhow::Result<()> {
    let mut asked = BTreeSet::new();
    let mut n_empty = 0;
    let mut next = Some(if search.post {
        (search.url.clone(), Some(Value::Object(question)))
    } else {
        (with_query(&search.url, &question), None)
    });
    held.begin();
    while let Some((url, body)) = next {
        let fresh = asked.insert((url.to_string(), body.as_ref().map(Value::to_string)));
        let page = read(wire, &url, body.as_ref(), held).await?;
        if page.get("type").and_then(Value::as_str) != Some("FeatureCollection") {
            bail!("{}: want a page of items (FeatureCollection), found something else", shown(&url));
        }
        next = next_page(&page, &url, body.as_ref())?;
        let (n_came, n_new) = held.page();
        n_empty = if n_came == 0 { n_empty + 1 } else { 0 };
        if next.is_none() {
            return Ok(());
        }
        let endless = if !fresh {
            "a circle".to_owned()
        } else if n_came > 0 && n_new == 0 {
            "the items of an earlier page again".to_owned()
        } else if n_empty > MAX_EMPTY_PAGES {
            format!("more than {MAX_EMPTY_PAGES} without an item")
        } else if asked.len() >= MAX_PAGES {
            format!("more than {MAX_PAGES}; narrow the dates")
        } else {
            continue;
        };
        bail!(Refused(format!("{}: want pages that come to an end, found {endless}", shown(&url))));
    }
    Ok(())
}

/// The request for the next page: a link with an address, perhaps a method and a body that may extend the last one.
fn next_page(page: &Value, url: &Url, body: Option<&Value>) -> anyhow::Result<Option<(Url, Option<Value>)>> {
    let Some(link) = link_objects(page).find(|l| l.get("rel").and_then(Value::as_str) == Some("next")) else {
        return Ok(None);
    };
    let href = link.get("href").and_then(Value::as_str).unwrap_or_default();
    let next = url.join(href).with_context(|| format!("{}: a next page that is no address", shown(url)))?;
    if link.get("method").and_then(Value::as_str) != Some("POST") {
        return Ok(Some((next, None)));
    }
    let mut merged = match (link.get("merge"), body) {
        (Some(Value::Bool(true)), Some(Value::Object(last))) => last.clone(),
        _ => Map::new(),
    };
    if let Some(Value::Object(more)) = link.get("body") {
        merged.extend(more.clone());
    }
    Ok(Some((next, Some(Value::Object(merged)))))
}

fn with_query(url: &Url, question: &Map<String, Value>) -> Url {
    let mut url = url.clone();
    for (key, value) in question {
        let text = match value {
            Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(","),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        url.query_pairs_mut().append_pair(key, &text);
    }
    url
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn parse(value: &Value, url: &Url) -> anyhow::Result<Item> {
    // An item of a page knows its own address; its relative addresses start there.
    let own = links(value, &["self"]).next().and_then(|href| url.join(href).ok());
    let base = if url.scheme() == "file" { url.clone() } else { own.unwrap_or_else(|| url.clone()) };
    Item::parse(value, &base).map_err(|found| anyhow::anyhow!("want STAC items, found {found}"))
}

fn link_objects(document: &Value) -> impl Iterator<Item = &Value> {
    document.get("links").and_then(Value::as_array).into_iter().flatten()
}

fn links<'a>(document: &'a Value, rels: &'a [&str]) -> impl Iterator<Item = &'a str> {
    link_objects(document)
        .filter(|l| l.get("rel").and_then(Value::as_str).is_some_and(|rel| rels.contains(&rel)))
        .filter_map(|l| l.get("href")?.as_str())
}
