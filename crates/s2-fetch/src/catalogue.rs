//! All items of a granule in a catalogue: a static one is walked, an API is searched, page by page.

use std::collections::{BTreeSet, VecDeque};

use anyhow::{Context, bail};
use geo::BoundingRect;
use serde_json::{Map, Value, json};
use tracing::debug;
use url::Url;

use crate::choose::Wanted;
use crate::guard::shown;
use crate::stac::{Item, granule_key, is_mgrs};
use crate::wire::Wire;
use crate::{items, tiling};

const MAX_DOCUMENTS: usize = 100_000;
const MAX_PAGES: usize = 1000;
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
    let root = wire.json(&root_url, None).await?;
    match search_link(&root, &root_url) {
        Some(search) => search_api(wire, &search, wanted, collection).await,
        None => walk(wire, root_url, root).await,
    }
}

/// Reads a static catalogue, breadth first, each document once.
async fn walk(wire: &Wire, root_url: Url, root: Value) -> anyhow::Result<Vec<Item>> {
    let mut seen = BTreeSet::from([root_url.clone()]);
    let mut queue = VecDeque::from([(root_url, Some(root))]);
    let mut items = Vec::new();
    while let Some((url, document)) = queue.pop_front() {
        let document = match document {
            Some(document) => document,
            None => wire.json(&url, None).await?,
        };
        match document.get("type").and_then(Value::as_str) {
            Some("Feature") => items.push(parse(&document, &url)?),
            Some("FeatureCollection") => {
                for feature in features(&document) {
                    items.push(parse(feature, &url)?);
                }
            }
            Some("Catalog" | "Collection") => {
                for link in links(&document, &["item", "child", "items"]) {
                    let next = url
                        .join(link)
                        .with_context(|| format!("{}: a link that is no address", shown(&url)))?;
                    if seen.insert(next.clone()) {
                        queue.push_back((next, None));
                    }
                }
            }
            other => bail!("{}: want a STAC catalogue or item, found type {other:?}", shown(&url)),
        }
        if seen.len() > MAX_DOCUMENTS {
            bail!(
                "{}: want at most {MAX_DOCUMENTS} documents, found more; use a search API",
                shown(wire.catalogue())
            );
        }
    }
    Ok(items)
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
    if let Some(bbox) = bbox(&wanted.granule)? {
        question.insert("bbox".into(), json!(bbox));
    }
    for (property, value) in [("s2:mgrs_tile", padded.clone()), ("grid:code", format!("MGRS-{padded}"))] {
        let mut question = question.clone();
        question.insert("query".into(), json!({property: {"eq": value}}));
        match pages(wire, search, question).await {
            Ok(items) if items.iter().any(|i| i.granule.as_ref() == Some(&granule)) => return Ok(items),
            Err(error) if stage::code(&error) == Some(stage::TRY_LATER) => return Err(error),
            Ok(_) => {}
            Err(error) => debug!("{error:#}; asking without the property {property}"),
        }
    }
    pages(wire, search, question).await
}

/// West, south, east, north of a granule. `None` across the antimeridian and for other names.
fn bbox(granule: &str) -> anyhow::Result<Option<[f64; 4]>> {
    let Some(shape) = tiling::granule(granule)? else { return Ok(None) };
    let extent = shape.footprint.bounding_rect().filter(|_| shape.footprint.0.len() == 1);
    Ok(extent.map(|e| [e.min().x, e.min().y, e.max().x, e.max().y]))
}

/// From the first of all days to the last; the choice looks at each range.
fn span(wanted: &Wanted) -> String {
    let first = wanted.periods.iter().map(|p| p.from.as_str()).min().unwrap_or("..");
    let last = wanted.periods.iter().map(|p| p.to.as_str()).max().unwrap_or("..");
    format!("{first}T00:00:00Z/{last}T23:59:59Z")
}

async fn pages(wire: &Wire, search: &Search, question: Map<String, Value>) -> anyhow::Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut asked = BTreeSet::new();
    let mut next = Some(if search.post {
        (search.url.clone(), Some(Value::Object(question)))
    } else {
        (with_query(&search.url, &question), None)
    });
    while let Some((url, body)) = next {
        let fresh = asked.insert((url.to_string(), body.as_ref().map(Value::to_string)));
        if !fresh || asked.len() > MAX_PAGES {
            bail!("{}: want pages that come to an end, found a circle or more than {MAX_PAGES}", shown(&url));
        }
        let page = wire.json(&url, body.as_ref()).await?;
        if page.get("type").and_then(Value::as_str) != Some("FeatureCollection") {
            bail!("{}: want a page of items (FeatureCollection), found something else", shown(&url));
        }
        for feature in features(&page) {
            items.push(parse(feature, &url)?);
        }
        next = next_page(&page, &url, body.as_ref())?;
    }
    Ok(items)
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
    Item::parse(value, &base)
        .map_err(|found| anyhow::anyhow!("{}: want STAC items, found {found}", shown(url)))
}

fn features(page: &Value) -> impl Iterator<Item = &Value> {
    page.get("features").and_then(Value::as_array).into_iter().flatten()
}

fn link_objects(document: &Value) -> impl Iterator<Item = &Value> {
    document.get("links").and_then(Value::as_array).into_iter().flatten()
}

fn links<'a>(document: &'a Value, rels: &'a [&str]) -> impl Iterator<Item = &'a str> {
    link_objects(document)
        .filter(|l| l.get("rel").and_then(Value::as_str).is_some_and(|rel| rels.contains(&rel)))
        .filter_map(|l| l.get("href")?.as_str())
}
