use burn::tensor::Device;
use std::str::FromStr;

/// Where tensors live, as `--device` names it: what this build has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The processor: burn's pure Rust backend, and convolutions of ours.
    #[default]
    Cpu,
    /// A graphics card through Vulkan; the best one if none is named.
    #[cfg(feature = "vulkan")]
    Vulkan(Option<usize>),
    /// A card of NVIDIA's through CUDA; the first if none is named.
    #[cfg(feature = "cuda")]
    Cuda(Option<usize>),
}

impl DeviceChoice {
    /// The device for computing without gradients.
    pub fn device(self) -> Device {
        match self {
            Self::Cpu => Device::flex(),
            #[cfg(feature = "vulkan")]
            Self::Vulkan(card) => {
                use burn::tensor::DeviceKind;
                Device::vulkan(card.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu))
            }
            #[cfg(feature = "cuda")]
            Self::Cuda(card) => Device::cuda(card.unwrap_or(0)),
        }
    }
}

/// A card is chosen only where its driver is found: without one, burn ends in a thread of its own.
impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, card) = match text.split_once(':') {
            Some((name, card)) => match card.parse::<usize>() {
                Ok(card) if name != "cpu" => (name, Some(card)),
                _ => return Err(format!("want cpu, vulkan[:N] or cuda[:N], got {text}")),
            },
            None => (text, None),
        };
        match name {
            "cpu" => Ok(Self::Cpu),
            "vulkan" => vulkan(card),
            "cuda" => cuda(card),
            _ => Err(format!("want cpu, vulkan[:N] or cuda[:N], got {text}")),
        }
    }
}

#[cfg(feature = "vulkan")]
fn vulkan(card: Option<usize>) -> Result<DeviceChoice, String> {
    drivers::vulkan("/".as_ref()).map(|()| DeviceChoice::Vulkan(card))
}

#[cfg(not(feature = "vulkan"))]
fn vulkan(_: Option<usize>) -> Result<DeviceChoice, String> {
    Err("this build has no Vulkan; build with --features vulkan, or take cpu".into())
}

#[cfg(feature = "cuda")]
fn cuda(card: Option<usize>) -> Result<DeviceChoice, String> {
    drivers::cuda("/".as_ref(), card.unwrap_or(0)).map(|()| DeviceChoice::Cuda(card))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: Option<usize>) -> Result<DeviceChoice, String> {
    Err("this build has no CUDA; build with --features cuda, or take cpu".into())
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            #[cfg(feature = "vulkan")]
            Self::Vulkan(None) => f.write_str("vulkan"),
            #[cfg(feature = "vulkan")]
            Self::Vulkan(Some(card)) => write!(f, "vulkan:{card}"),
            #[cfg(feature = "cuda")]
            Self::Cuda(None) => f.write_str("cuda"),
            #[cfg(feature = "cuda")]
            Self::Cuda(Some(card)) => write!(f, "cuda:{card}"),
        }
    }
}

/// Whether Linux has what a card needs, by files alone: the kernel's driver, and the library as the loader would find it.
#[cfg(any(feature = "vulkan", feature = "cuda", test))]
#[cfg_attr(not(all(feature = "vulkan", feature = "cuda")), allow(dead_code))]
mod drivers {
    use std::path::Path;

    /// Folders that the loader searches though its cache does not list them; the last is Windows' for Linux guests.
    const LIBRARIES: [&str; 5] =
        ["usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib", "usr/lib/wsl/lib"];

    pub fn cuda(root: &Path, card: usize) -> Result<(), String> {
        if !exists(root, &["proc/driver/nvidia/version", "dev/nvidiactl", "dev/dxg"]) {
            return Err("want a driver of NVIDIA's, found none loaded; take cpu or vulkan".into());
        }
        if let Ok(cards) = std::fs::read_dir(root.join("proc/driver/nvidia/gpus")) {
            let n = cards.count();
            if card >= n {
                return Err(format!("want card {card}, counted from 0, found {n} cards of NVIDIA's"));
            }
        }
        library(root, "libcuda.so.1")
    }

    pub fn vulkan(root: &Path) -> Result<(), String> {
        let node = exists(root, &["dev/dri/renderD128", "dev/nvidiactl", "dev/dxg"]);
        let manifests = ["usr/share/vulkan/icd.d", "etc/vulkan/icd.d"];
        let listed =
            |folder: &&str| std::fs::read_dir(root.join(folder)).is_ok_and(|mut f| f.next().is_some());
        if !node || !manifests.iter().any(listed) {
            return Err("want a graphics card with a driver for Vulkan, found none; take cpu".into());
        }
        library(root, "libvulkan.so.1")
    }

    fn exists(root: &Path, any: &[&str]) -> bool {
        any.iter().any(|path| root.join(path).exists())
    }

    fn library(root: &Path, name: &str) -> Result<(), String> {
        let cache = std::fs::read(root.join("etc/ld.so.cache")).unwrap_or_default();
        let cached = cache.windows(name.len()).any(|part| part == name.as_bytes());
        if cached || LIBRARIES.iter().any(|folder| root.join(folder).join(name).exists()) {
            return Ok(());
        }
        Err(format!("want {name}, found none; install the driver's library and run ldconfig, or take cpu"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_this_build_or_machine_lacks_is_one_clear_line() {
        assert_eq!("cpu".parse(), Ok(DeviceChoice::Cpu));
        assert_eq!(DeviceChoice::Cpu.to_string(), "cpu");
        for wrong in ["gpu", "cpu:1", "cuda:x", "vulkan:", ""] {
            let error = wrong.parse::<DeviceChoice>().unwrap_err();
            assert!(error.contains("cpu, vulkan[:N] or cuda[:N]"), "{error}");
        }
        for card in ["cuda", "cuda:1", "vulkan", "vulkan:0"] {
            // On a machine with the driver, a build with the feature takes it.
            if let Err(error) = card.parse::<DeviceChoice>() {
                assert!(error.lines().count() == 1 && error.contains("cpu"), "{error}");
            }
        }
    }

    #[test]
    fn a_card_wants_its_kernel_driver_and_its_library() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let put = |path: &str| {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), "libother.so\0libcuda.so.1\0").unwrap();
        };
        assert!(drivers::cuda(root, 0).unwrap_err().contains("driver of NVIDIA's"));
        put("proc/driver/nvidia/version");
        put("proc/driver/nvidia/gpus/0000:01:00.0/information");
        assert!(drivers::cuda(root, 0).unwrap_err().contains("libcuda.so.1"));
        put("etc/ld.so.cache");
        assert_eq!(drivers::cuda(root, 0), Ok(()));
        assert!(drivers::cuda(root, 1).unwrap_err().contains("found 1 cards"));
        assert!(drivers::vulkan(root).is_err());
        put("dev/dri/renderD128");
        put("usr/share/vulkan/icd.d/card.json");
        assert!(drivers::vulkan(root).unwrap_err().contains("libvulkan.so.1"));
        put("usr/lib64/libvulkan.so.1");
        assert_eq!(drivers::vulkan(root), Ok(()));
    }
}
