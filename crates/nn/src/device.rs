use burn::tensor::Device;
use std::str::FromStr;

/// Where tensors live, as `--device` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The processor, through burn's pure Rust backend.
    #[default]
    Cpu,
}

impl DeviceChoice {
    /// The device for computing without gradients.
    pub fn device(self) -> Device {
        match self {
            Self::Cpu => Device::flex(),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            _ => Err("this build has the device cpu only".into()),
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
        }
    }
}
