//! Tables as text against two readers that nobody here wrote: Python's `csv` (strict) and pandas. Where Python refuses, so do we.
#![allow(clippy::unwrap_used)]

use contract::delimited_text::parse;
use std::process::Command;

/// Tables of three columns, `a` first: what offices, spreadsheets and careless hands write.
const BODIES: [&str; 30] = [
    "1,2,3\n4,5,6\n",
    "1,2,3",
    "\"1\",\"2\",\"3\"\n",
    "1,\"a, b\",3\n",
    "1,\"say \"\"hi\"\"\",3\n",
    "1,\"\"\"\",3\n",
    "1,\"two\nlines\",3\n4,5,6\n",
    "1,\"two\n\nand one empty\",3\n",
    "1,town 5\" pipe,3\n4,6\",9\n",
    "1,5\",\"6\"\n",
    "1,a\"b\"c,3\n",
    "1,\"5\" pipe,3\n",
    "1,\"open,3\n4,5,6\n",
    "1,\"open,3\n4,\"5\",6\n",
    "1,\"closed\" ,3\n",
    "1, \"after a blank\",3\n",
    "\n\n1,2,3\n\n\n4,5,6\n\n",
    ",,\n1,2,3\n",
    "1,,\n,2,\n,,3\n",
    "1,\"\",3\n",
    "1,2,3\n4,5\n",
    "1,2,3,4\n",
    "1,2,3,\n4,5,6,\n",
    "1,成都市,3\n2,重慶市,4\n",
    "1,'single',3\n",
    "1,tab\there,3\n",
    "1, blank around ,3\n",
    "1,=1+1,-3\n",
    "1,back\\slash,\"c:\\\\x\"\n",
    "1,;;,3\n",
];

/// Each body with the ends of lines of three systems, other separators, marks and encodings: `(name, bytes)`.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for (i, body) in BODIES.iter().enumerate() {
        let text = format!("a,b,c\n{body}");
        all.push((format!("{i}"), text.clone().into_bytes()));
        all.push((format!("{i} crlf"), text.replace('\n', "\r\n").into_bytes()));
        all.push((format!("{i} cr"), text.replace('\n', "\r").into_bytes()));
        all.push((format!("{i} bom"), format!("\u{feff}{text}").into_bytes()));
        if !text.contains(';') {
            all.push((format!("{i} semicolons"), text.replace(',', ";").into_bytes()));
        }
        if !text.contains('\t') {
            all.push((format!("{i} tabs"), text.replace(',', "\t").into_bytes()));
        }
        let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        all.push((format!("{i} utf16"), utf16));
        if !text.is_ascii() {
            all.push((format!("{i} gbk"), encoding_rs::GB18030.encode(&text).0.into_owned()));
        }
    }
    all
}

/// Our rows as JSON, or the word that the text is refused.
fn ours(bytes: &[u8]) -> serde_json::Value {
    match parse(bytes, &["a"]) {
        Ok(table) => table.rows.iter().map(|row| row.fields().collect::<Vec<_>>()).collect(),
        Err(_) => "refused".into(),
    }
}

fn python_says(script: &str, folder: &std::path::Path) -> Option<serde_json::Value> {
    let Ok(python) = std::env::var("TEST_PYTHON") else {
        println!("skipped: TEST_PYTHON names no interpreter");
        return None;
    };
    let output = Command::new(python).args(["-c", script]).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn written(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let all = corpus();
    assert!(all.len() > 180, "{} tables", all.len());
    for (i, (_, bytes)) in all.iter().enumerate() {
        std::fs::write(folder.join(format!("{i:04}.csv")), bytes).unwrap();
    }
    all
}

const DECODE: &str = r#"
import sys, glob, json, csv, io
def text(b):
    for mark, name in (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"):
        if b.startswith(mark): return b.decode(name)
    try: return b.decode("utf-8")
    except UnicodeDecodeError: return b.decode("gb18030")
def separator(t): return max(",;\t", key=lambda s: (t[:5].count(s), s == ","))
files = [text(open(f, "rb").read()) for f in sorted(glob.glob(sys.argv[1] + "/*.csv"))]
"#;

#[test]
fn python_s_csv_module_gives_the_same_rows_and_refuses_the_same_texts() {
    let dir = tempfile::tempdir().unwrap();
    let all = written(dir.path());
    let script = format!(
        r#"{DECODE}
def rows(t):
    try:
        found = list(csv.reader(io.StringIO(t, newline=""), delimiter=separator(t), strict=True))[1:]
    except csv.Error: return "refused"
    found = [r for r in found if any(f.strip() for f in r)]
    if any(len(r) < 3 or any(f.strip() for f in r[3:]) for r in found): return "refused"
    return [r[:3] for r in found]
print(json.dumps([rows(t) for t in files]))"#
    );
    let Some(wanted) = python_says(&script, dir.path()) else { return };
    let wanted = wanted.as_array().unwrap();
    assert_eq!(wanted.len(), all.len());
    let mut n_refused = 0;
    for ((name, bytes), wanted) in all.iter().zip(wanted) {
        assert_eq!(&ours(bytes), wanted, "table {name}: {:?}", String::from_utf8_lossy(bytes));
        n_refused += usize::from(wanted == "refused");
    }
    assert!((20..80).contains(&n_refused), "{n_refused} were refused");
}

#[test]
fn pandas_gives_the_same_rows_of_every_text_that_we_take() {
    let dir = tempfile::tempdir().unwrap();
    let all = written(dir.path());
    let script = format!(
        r#"{DECODE}
import pandas
def rows(t):
    try: found = pandas.read_csv(io.StringIO(t, newline=""), sep=separator(t), dtype=str, keep_default_na=False, index_col=False, engine="c")
    except Exception as e: return "refused"
    return [r for r in found.iloc[:, :3].values.tolist() if any(f.strip() for f in r)]
import warnings; warnings.simplefilter("ignore")
print(json.dumps([rows(t) for t in files]))"#
    );
    let Some(wanted) = python_says(&script, dir.path()) else { return };
    let mut n_same = 0;
    for ((name, bytes), wanted) in all.iter().zip(wanted.as_array().unwrap()) {
        let ours = ours(bytes);
        // Pandas takes broken quotes and short rows, and that is its choice.
        if ours == "refused" {
            continue;
        }
        assert_eq!(&ours, wanted, "table {name}: {:?}", String::from_utf8_lossy(bytes));
        n_same += 1;
    }
    assert!(n_same > 120, "{n_same} were read by both");
}
