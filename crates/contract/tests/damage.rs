//! Parquet files that were changed, lie about their size, or meet a full disk; and that programs of others read ours and we theirs.
#![allow(clippy::unwrap_used)]

use contract::*;
use std::path::Path;
use std::process::Command;

fn scores(n: u32) -> Vec<Score> {
    let score = |i: u32| Score {
        granule: "T48RVV".parse().unwrap(),
        tile: TileId { row: i / 100, col: i % 100 },
        crs: "EPSG:32648".into(),
        west_m: f64::from(i) * 100.0,
        south_m: -1.5,
        east_m: 3430.0,
        north_m: 9e6,
        score: Some(f64::from(i).sqrt() % 1.0),
        sd: Some(0.1),
        low: None,
        high: None,
        distance_ratio: None,
        outside: Some(i.is_multiple_of(7)),
        n_members: 5,
        skipped: None,
    };
    (0..n).map(score).collect()
}

fn tiles(path: &Path) -> (TilesMeta, Vec<Tile>) {
    let meta = TilesMeta {
        granule: "T48RVV".into(),
        crs: "EPSG:32648".into(),
        tile_px: 4,
        pixel_m: 10.0,
        n_rows: 3,
        n_cols: 2,
        bands: vec!["red".into(), "green".into()],
    };
    let tile = |i: u32| Tile {
        tile: TileId { row: i / 2, col: i % 2 },
        west_m: f64::from(i),
        south_m: 0.0,
        east_m: 1.0,
        north_m: 2.0,
        lon_deg: 104.0,
        lat_deg: 30.0,
        valid_share: 1.0,
        cloud_share: None,
        skipped: None,
        pixels: Some((0..32).map(|k| (i * 31 + k * 7) as u8).collect()),
    };
    let all: Vec<Tile> = (0..6).map(tile).collect();
    let mut writer = TileWriter::begin(path, &meta, &Made::by("test")).unwrap();
    all.chunks(2).for_each(|row| writer.push_row(row).unwrap());
    writer.finish().unwrap();
    (meta, all)
}

/// Every bit of a file: what is read is what was written, or the file is refused in one line that names it.
fn no_bit_changes_a_value(path: &Path, still_right: impl Fn() -> Result<bool>) -> usize {
    let good = std::fs::read(path).unwrap();
    let (mut n_refused, mut n_bits) = (0, 0);
    for at in 0..good.len() {
        // All bits of some bytes, one of the others.
        let bits = if at % 16 == 0 { 0..8 } else { (at % 8) as u32..(at % 8) as u32 + 1 };
        for bit in bits {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            std::fs::write(path, &bad).unwrap();
            n_bits += 1;
            match still_right() {
                Ok(right) => assert!(right, "bit {bit} of byte {at} gives other values"),
                Err(error) => {
                    let said = error.to_string();
                    assert!(
                        said.starts_with(&path.display().to_string()) && said.lines().count() == 1,
                        "{said}"
                    );
                    n_refused += 1;
                }
            }
        }
    }
    std::fs::write(path, &good).unwrap();
    assert!(n_bits > 1000 && n_refused * 10 > n_bits * 9, "{n_refused} of {n_bits} were refused");
    n_refused
}

#[test]
fn one_changed_bit_of_a_table_is_refused_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.parquet");
    let rows = scores(60);
    write(&path, &rows, &Made::by("test").flag("k", 3)).unwrap();
    let pairs = tags(&path).unwrap();
    let made = |pairs: &[(String, String)]| {
        pairs.iter().filter(|(key, _)| key != "crc32").cloned().collect::<Vec<_>>()
    };
    no_bit_changes_a_value(&path, || {
        // A changed name of the writer takes the checksums away; then nothing else is changed.
        Ok(read::<Score>(&path)? == rows && tags(&path)?.len() >= made(&pairs).len())
    });
}

#[test]
fn one_changed_bit_of_a_file_of_tiles_is_refused_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiles.parquet");
    let (meta, all) = tiles(&path);
    no_bit_changes_a_value(&path, || {
        let reader = TileReader::open(&path)?;
        Ok(reader.meta() == &meta && reader.tiles().collect::<Result<Vec<_>>>()? == all)
    });
}

#[test]
fn a_reader_of_one_row_of_tiles_checks_that_row_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiles.parquet");
    let (_, all) = tiles(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = all[5].pixels.clone().unwrap();
    let at = bytes.windows(32).position(|window| window == last).unwrap_or(0);
    // Pixels of this size may be packed: then any byte of the last chunk will do, which stands before the footer.
    let size = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
    let at = if at > 0 { at } else { bytes.len() - 8 - size - 3 };
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let reader = TileReader::open(&path).unwrap();
    assert_eq!(reader.row(0).unwrap(), all[..2]);
    assert_eq!(reader.index().unwrap().len(), 6, "pixels are not read, and not checked");
    let said = reader.row(2).unwrap_err().to_string();
    assert!(said.contains("column pixels is not as it was written (CRC-32)"), "{said}");
}

#[test]
fn a_full_disk_and_a_limit_on_files_are_one_clear_line_and_the_old_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.parquet");
    write(&path, &scores(3), &Made::by("test")).unwrap();
    let (name, own) = (path.display().to_string(), std::env::current_exe().unwrap());
    for job in ["table", "tiles"] {
        // A shell's limit of one block of 512 bytes; SIGXFSZ ignored, a write gives the error "file too large".
        let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" --exact writes_what_it_is_told_to --nocapture";
        let output = Command::new("sh")
            .args(["-c", script])
            .arg(&own)
            .env("WRITE_TO", &name)
            .env("WRITE", job)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line =
            said.lines().find(|line| line.contains("scores.parquet: ")).unwrap_or_else(|| panic!("{said}"));
        assert!(
            line.contains("File too large") && line.contains("ulimit -f") && !line.contains("thrift"),
            "{line}"
        );
        assert_eq!(read::<Score>(&path).unwrap(), scores(3));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no part is left");
    }
}

/// Run by the test above, in a process of its own.
#[test]
fn writes_what_it_is_told_to() {
    let Some(path) = std::env::var_os("WRITE_TO") else { return };
    let path = Path::new(&path);
    let error = match std::env::var("WRITE").as_deref() {
        Ok("table") => write(path, &scores(2000), &Made::by("test")).unwrap_err(),
        _ => {
            let meta = TilesMeta {
                granule: "T48RVV".into(),
                crs: "EPSG:32648".into(),
                tile_px: 64,
                pixel_m: 10.0,
                n_rows: 1,
                n_cols: 1,
                bands: vec!["red".into()],
            };
            let pixels: Vec<u8> =
                (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            let tile = Tile {
                tile: TileId { row: 0, col: 0 },
                west_m: 0.0,
                south_m: 0.0,
                east_m: 0.0,
                north_m: 0.0,
                lon_deg: 0.0,
                lat_deg: 0.0,
                valid_share: 1.0,
                cloud_share: None,
                skipped: None,
                pixels: Some(pixels),
            };
            let mut writer = TileWriter::begin(path, &meta, &Made::by("test")).unwrap();
            let pushed = (0..20).try_for_each(|_| writer.push_row(std::slice::from_ref(&tile)));
            pushed.and_then(|()| writer.finish()).unwrap_err()
        }
    };
    println!("\n{error}");
}

#[test]
fn a_full_file_system_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&small).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine mounts no tmpfs");
        return;
    }
    let path = small.join("scores.parquet");
    let error = write(&path, &scores(20_000), &Made::by("test")).unwrap_err().to_string();
    let left = std::fs::read_dir(&small).unwrap().count();
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    let wanted =
        "scores.parquet: cannot write (free space there, or give another folder): No space left on device";
    assert!(error.contains(wanted), "{error}");
    assert_eq!(left, 0);
}

/// The interpreter with the libraries that readers are held against; none, with a word, where it is not named.
fn python() -> Option<String> {
    let python = std::env::var("TEST_PYTHON").ok();
    if python.is_none() {
        println!("skipped: TEST_PYTHON names no interpreter");
    }
    python
}

fn run(python: &str, script: &str, paths: &[&Path]) -> String {
    let output = Command::new(python).args(["-c", script]).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn pyarrow_reads_what_we_write_and_we_read_what_it_writes_with_any_page_and_packing() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (path, tiles_path) = (dir.path().join("scores.parquet"), dir.path().join("tiles.parquet"));
    let rows = scores(5000);
    write(&path, &rows, &Made::by("test")).unwrap();
    let (_, all) = tiles(&tiles_path);
    let script = "
import sys, pyarrow.parquet as pq
t = pq.read_table(sys.argv[1]); print(t.num_rows, repr(sum(t['score_share'].to_pylist())), t['tile'][4999].as_py())
t = pq.read_table(sys.argv[2]); print(t.num_rows, sum(sum(p) for p in t['pixels'].to_pylist()))";
    let sum: f64 = rows.iter().filter_map(|row| row.score).sum();
    let pixels: u64 =
        all.iter().flat_map(|tile| tile.pixels.iter().flatten()).map(|pixel| u64::from(*pixel)).sum();
    assert_eq!(
        run(&python, script, &[&path, &tiles_path]),
        format!("5000 {sum:?} {}\n6 {pixels}", rows[4999].tile)
    );
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let script = "
import sys, pyarrow.parquet as pq
m = {k: v for k, v in pq.read_metadata(sys.argv[1]).metadata.items() if k != b'ARROW:schema'}
t = pq.read_table(sys.argv[1]).replace_schema_metadata(m); n = 0
for page in '1.0', '2.0':
    for packing in 'none', 'snappy', 'gzip', 'zstd', 'lz4':
        for d in True, False:
            pq.write_table(t, f'{sys.argv[2]}/{n}.parquet', compression=packing, data_page_version=page, use_dictionary=d, row_group_size=1700, data_page_size=4000, write_page_checksum=n % 2 == 0)
            n += 1
print(n)";
    assert_eq!(run(&python, script, &[&path, &copy]), "20");
    for n in 0..20 {
        // The copy has our checksums among its metadata, beside other bytes.
        let name = copy.join(format!("{n}.parquet"));
        match read::<Score>(&name) {
            Ok(found) => assert_eq!(found, rows, "file {n}"),
            // Packings that our build leaves out are refused by name.
            Err(error) => assert!(error.to_string().contains("feature"), "file {n}: {error}"),
        }
    }
}

#[test]
fn a_page_of_another_writer_with_a_checksum_is_held_to_it() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("scores.parquet"), dir.path().join("copy.parquet"));
    write(&path, &scores(500), &Made::by("test")).unwrap();
    let script = "
import sys, pyarrow.parquet as pq
m = {k: v for k, v in pq.read_metadata(sys.argv[1]).metadata.items() if k != b'ARROW:schema'}
t = pq.read_table(sys.argv[1]).replace_schema_metadata(m)
pq.write_table(t, sys.argv[2], compression='zstd', use_dictionary=False, write_page_checksum=True)
c = pq.ParquetFile(sys.argv[2]).metadata.row_group(0).column(7); print(c.path_in_schema, c.data_page_offset + c.total_compressed_size - 9)";
    let said = run(&python, script, &[&path, &copy]);
    let (column, at) = said.split_once(' ').unwrap();
    assert_eq!(read::<Score>(&copy).unwrap(), scores(500));
    let mut bytes = std::fs::read(&copy).unwrap();
    bytes[at.parse::<usize>().unwrap()] ^= 4;
    std::fs::write(&copy, bytes).unwrap();
    let said = read::<Score>(&copy).unwrap_err().to_string();
    assert!(said.contains(&format!("column {column} has a page that is not as it was written")), "{said}");
}

/// A table of `n` equal rows takes next to nothing on disk.
#[test]
fn a_small_file_of_very_many_rows_or_long_texts_is_refused_before_it_takes_memory() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (path, many, long, lies) =
        (dir.path().join("s"), dir.path().join("many"), dir.path().join("long"), dir.path().join("lies"));
    write(&path, &scores(2), &Made::by("test")).unwrap();
    let script = "
import sys, pyarrow as pa, pyarrow.parquet as pq
t = pq.read_table(sys.argv[1]); m = {k: v for k, v in pq.read_metadata(sys.argv[1]).metadata.items() if k != b'ARROW:schema'}
def column(ty, value, n):
    ty = pa.string() if pa.types.is_string_view(ty) or pa.types.is_large_string(ty) else ty
    if value is None: return pa.nulls(n, ty)
    if pa.types.is_boolean(ty): return pa.array([value] * n, ty)
    return pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), pa.array([value], ty)).cast(ty) if not pa.types.is_string(ty) or len(value) < 99 else pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), pa.array([value], ty))
def rows(n, **other): return pa.table([column(t.schema.field(c).type, other.get(c, t[c][0].as_py()), n) for c in t.column_names], names=t.column_names).replace_schema_metadata(m)
one = rows(200_000)
w = pq.ParquetWriter(sys.argv[2], one.schema, compression='zstd', store_schema=False)
w.add_key_value_metadata({k.decode(): v.decode() for k, v in m.items()})
for _ in range(100): w.write_table(one, row_group_size=200_000)
w.close()
one = rows(20_000, skipped='x' * 1_000_000)
w = pq.ParquetWriter(sys.argv[3], one.schema, compression='zstd', store_schema=False)
w.add_key_value_metadata({k.decode(): v.decode() for k, v in m.items()})
w.write_table(one); w.close()
b = bytearray(open(sys.argv[2], 'rb').read()); print(len(b) // 2**20, len(open(sys.argv[3], 'rb').read()) // 2**20)";
    let said = run(&python, script, &[&path, &many, &long]);
    let sizes: Vec<u64> = said.split(' ').map(|n| n.parse().unwrap()).collect();
    assert!(sizes.iter().all(|mb| *mb < 16), "both files are small: {said}");
    let error = read::<Score>(&many).unwrap_err().to_string();
    assert!(
        error.contains("its 20000000 rows would take") && error.contains("too much for a file of"),
        "{error}"
    );
    let error = read::<Score>(&long).unwrap_err().to_string();
    assert!(error.contains("skipped") && error.contains("bytes"), "{error}");
    // The footer of a table of two rows, which says that there are more.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 2);
    std::fs::write(&lies, bytes).unwrap();
    assert!(read::<Score>(&lies).is_err());
}

#[test]
fn a_million_real_rows_are_no_bomb() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("votes.parquet");
    let vote = |i: u32| Vote {
        rater: "openai:m/expert.en/0".into(),
        judge: "openai:m".into(),
        persona: "expert.en".into(),
        repeat: 0,
        cluster: i % 100,
        granule: "T48RVV".parse().unwrap(),
        tile: TileId { row: i % 997, col: i % 89 },
        score: Some(f64::from(i * 31 % 101)),
        missing: None,
        raw: None,
        prompt_hash: "ab".repeat(32),
    };
    let rows: Vec<Vote> = (0..1_000_000).map(vote).collect();
    write(&path, &rows, &Made::by("test")).unwrap();
    assert_eq!(read::<Vote>(&path).unwrap().len(), rows.len());
}
