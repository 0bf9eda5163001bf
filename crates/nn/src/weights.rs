use crate::{Error, Result};
use burn::module::Module;
use burn::store::{
    BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, PytorchStore, SafetensorsStore,
};
use contract::file::Whole;
use std::path::Path;

/// Fills a module from published weights, `.safetensors` or PyTorch's `.pth`/`.pt`, after renaming keys by regular
/// expressions. Every tensor of the module must be there; tensors that the module does not know are left aside.
///
/// # Errors
/// [`Error::Content`] with the number of missing tensors and the first of them.
pub fn load_torch<M: Module>(module: &mut M, path: &Path, renames: &[(&str, &str)]) -> Result<()> {
    let bad = |want: &str, got: String| Error::Content { path: path.into(), want: want.into(), got };
    if let Err(source) = std::fs::File::open(path) {
        return Err(contract::Error::Io { path: path.into(), action: "read", source }.into());
    }
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let outcome = match extension {
        "safetensors" => {
            let store =
                SafetensorsStore::from_file(path).with_from_adapter(PyTorchToBurnAdapter).allow_partial(true);
            let mut store = renames.iter().fold(store, |s, (from, to)| s.with_key_remapping(*from, *to));
            quietly(|| module.load_from(&mut store).map_err(|e| e.to_string()))
        }
        "pth" | "pt" => {
            let store = PytorchStore::from_file(path).allow_partial(true);
            let mut store = renames.iter().fold(store, |s, (from, to)| s.with_key_remapping(*from, *to));
            quietly(|| module.load_from(&mut store).map_err(|e| e.to_string()))
        }
        other => return Err(bad("weights as .safetensors, .pth or .pt", format!("a file named .{other}"))),
    };
    let applied = outcome.map_err(|e| bad("readable weights", e))?;
    if let Some(error) = applied.errors.first() {
        return Err(bad("tensors of this network's shapes", format!("{error:?}")));
    }
    if let Some((name, _)) = applied.missing.first() {
        let n = applied.missing.len();
        return Err(bad(
            "all tensors of this network",
            format!(
                "{n} missing, the first is {name}; give the weights of the architecture that is asked for"
            ),
        ));
    }
    Ok(())
}

/// Writes a module's tensors as a whole `.safetensors` file.
///
/// # Errors
/// [`Error::File`] or [`Error::Content`].
pub fn save_whole<M: Module>(module: &M, path: &Path) -> Result<()> {
    write_whole(module, SafetensorsStore::from_bytes(None).clear_metadata(), path)
}

/// Writes a module's tensors as a whole `.safetensors` file in PyTorch's layout and names, which [`load_torch`] reads back.
///
/// # Errors
/// [`Error::File`] or [`Error::Content`].
pub fn save_torch<M: Module>(module: &M, path: &Path) -> Result<()> {
    let store = SafetensorsStore::from_bytes(None).clear_metadata().with_to_adapter(BurnToPyTorchAdapter);
    write_whole(module, store, path)
}

fn write_whole<M: Module>(module: &M, mut store: SafetensorsStore, path: &Path) -> Result<()> {
    let unwritable =
        |e: String| Error::Content { path: path.into(), want: "to write weights".into(), got: e };
    module.save_into(&mut store).map_err(|e| unwritable(e.to_string()))?;
    let bytes = store.get_bytes().map_err(|e| unwritable(e.to_string()))?;
    let mut whole = Whole::begin(path)?;
    std::io::Write::write_all(whole.file(), &bytes).map_err(contract::Error::io(path, "write"))?;
    Ok(whole.commit()?)
}

/// Fills a module from a file of [`save_whole`].
///
/// # Errors
/// [`Error::File`] if the file cannot be read, [`Error::Content`] if it is not of this module.
pub fn load_whole<M: Module>(module: &mut M, path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).map_err(contract::Error::io(path, "read"))?;
    let bad = |got: String| Error::Content { path: path.into(), want: "weights of this model".into(), got };
    let mut store = SafetensorsStore::from_bytes(Some(bytes));
    let applied = quietly(|| module.load_from(&mut store).map_err(|e| e.to_string())).map_err(bad)?;
    match applied.errors.first() {
        Some(error) => Err(bad(format!("{error:?}"))),
        None => Ok(()),
    }
}

/// Runs a decoder of foreign bytes; a panic in it becomes an error.
fn quietly<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let text = match contract::caught(read) {
        Some(Ok(value)) => return Ok(value),
        Some(Err(text)) => text,
        None => "bytes that the decoder gave up on".into(),
    };
    Err(text.lines().next().unwrap_or_default().chars().take(160).collect())
}
