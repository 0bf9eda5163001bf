//! How this process was started: by a person, as one of several ranks, or as one of several that do not see each other.
//!
//! A launcher says what it started in variables of the environment. Those of a whole job (`SLURM_NTASKS`, `LSB_DJOB_NUMPROC`, `PBS_NP`) stand
//! in every shell of an allocation and say nothing about one process in it, so they are not asked: a program that is run plainly in a
//! batch script is one process, and means to be.

use std::ffi::OsString;

/// Variables in which what started MPI programs says how many ranks there are. The innermost launcher knows best.
const LAUNCHER_SIZES: [&str; 4] =
    ["OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"];

/// The same of a resource manager that starts processes by itself (srun, flux run, jsrun, mpiexec of PALS). It may have started a
/// launcher's helpers only, so a launcher's own number goes first.
const STEP_SIZES: [&str; 5] =
    ["SLURM_STEP_NUM_TASKS", "FLUX_JOB_SIZE", "JSM_NAMESPACE_SIZE", "PALS_NRANKS", "PALS_SIZE"];

/// Variables that hold a rank, and the first rank that there is: where nobody says how many there are, a later one is not alone.
const RANKS: [(&str, u64); 11] = [
    ("OMPI_COMM_WORLD_RANK", 0),
    ("MV2_COMM_WORLD_RANK", 0),
    ("PMI_RANK", 0),
    ("PMIX_RANK", 0),
    ("FLUX_TASK_RANK", 0),
    ("JSM_NAMESPACE_RANK", 0),
    ("PALS_RANKID", 0),
    // aprun of Cray
    ("ALPS_APP_PE", 0),
    // blaunch of LSF
    ("LSF_PM_TASKID", 1),
    // pbsdsh of PBS; the script itself is task 1
    ("PBS_TASKNUM", 1),
    ("SLURM_PROCID", 0),
];

/// How the variables of launchers begin. A process that sees none of them was started by no launcher: it is alone, and does without MPI,
/// whose start costs as long as decoding a third of a scene.
const PREFIXES: [&str; 13] = [
    "OMPI_COMM_",
    "OMPI_MCA_orte_",
    "PMI",
    "PRTE_",
    "MV2_COMM_",
    "MPI_LOCALNRANKS",
    "PALS_",
    "ALPS_APP_",
    "HYDI_",
    "I_MPI_",
    "FLUX_JOB_SIZE",
    "FLUX_TASK_RANK",
    "JSM_",
];

/// What the environment says of this process's start.
#[derive(Debug, Default)]
pub(crate) struct Launch {
    launched: bool,
    others: Option<Others>,
}

/// That there are other ranks, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Others {
    /// The variable.
    pub variable: &'static str,
    /// Its value.
    pub value: u64,
    /// How many ranks there are at least.
    pub n_ranks: u64,
}

impl Launch {
    /// Reads the environment, before MPI starts and adds to it.
    pub fn read() -> Self {
        Self::of(std::env::vars_os().collect())
    }

    fn of(variables: Vec<(OsString, OsString)>) -> Self {
        let number = |name: &str| {
            let (_, value) = variables.iter().find(|(variable, _)| variable == name)?;
            value.to_str()?.trim().parse::<u64>().ok()
        };
        let sizes = |names: &[&'static str]| {
            let known: Vec<_> = names.iter().filter_map(|name| Some((*name, number(name)?))).collect();
            known.into_iter().max_by_key(|(_, n)| *n)
        };
        let size = sizes(&LAUNCHER_SIZES).or_else(|| sizes(&STEP_SIZES));
        let others = match size {
            Some((variable, n)) => (n > 1).then_some(Others { variable, value: n, n_ranks: n }),
            None => RANKS.iter().find_map(|(variable, first)| {
                let value = number(variable).filter(|rank| rank > first)?;
                Some(Others { variable, value, n_ranks: value - first + 1 })
            }),
        };
        let begins = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let named = variables.iter().any(|(name, _)| begins(&name.to_string_lossy()));
        Self { launched: named || others.is_some(), others }
    }

    /// Whether a launcher started this process, so that MPI must be asked who the others are.
    pub fn is_launched(&self) -> bool {
        self.launched
    }

    /// The other ranks that there must be, if the environment says so.
    pub fn others(&self) -> Option<Others> {
        self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Launch {
        let owned = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        Launch::of([&[("HOME", "/h")], variables].concat().iter().map(owned).collect())
    }

    #[test]
    fn every_launcher_that_says_how_many_it_started_is_heard() {
        let mut n = 0;
        for name in LAUNCHER_SIZES.iter().chain(&STEP_SIZES) {
            let four = launch(&[(name, "4")]);
            assert!(four.is_launched(), "{name}");
            assert_eq!(four.others(), Some(Others { variable: name, value: 4, n_ranks: 4 }));
            assert_eq!(launch(&[(name, "1")]).others(), None, "{name}");
            assert_eq!(launch(&[(name, "nonsense")]).others(), None, "{name}");
            n += 1;
        }
        assert_eq!(n, 9);
    }

    #[test]
    fn a_rank_beyond_the_first_is_not_alone_though_nobody_says_how_many_there_are() {
        for (name, first) in RANKS {
            let second = (first + 1).to_string();
            assert_eq!(launch(&[(name, &second)]).others().map(|o| o.n_ranks), Some(2), "{name}");
            assert_eq!(launch(&[(name, &first.to_string())]).others(), None, "{name}");
        }
        let pmix = launch(&[("PMIX_NAMESPACE", "job.1"), ("PMIX_RANK", "3")]);
        assert!(pmix.is_launched() && pmix.others().is_some_and(|o| o.n_ranks == 4));
    }

    #[test]
    fn a_plain_process_of_an_allocation_is_alone() {
        let slurm = [("SLURM_JOB_ID", "1"), ("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")];
        let lsf = [("LSB_DJOB_NUMPROC", "4"), ("LSB_MCPU_HOSTS", "a 2 b 2")];
        let pbs = [("PBS_NP", "4"), ("PBS_TASKNUM", "1"), ("PBS_NODENUM", "0")];
        let flux = [("FLUX_URI", "local:///run/flux/local")];
        for shell in [&slurm[..], &lsf, &pbs, &flux, &[("SLURM_STEP_NUM_TASKS", "1")], &[]] {
            let found = launch(shell);
            assert!(!found.is_launched() && found.others().is_none(), "{shell:?}");
        }
        // What the Makefile sets lets root start ranks, and starts none.
        assert!(
            !launch(&[("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")])
                .is_launched()
        );
    }

    #[test]
    fn the_innermost_launcher_knows_best() {
        // mpirun -np 1 in an allocation, whose helpers are a step of four
        let one =
            launch(&[("OMPI_COMM_WORLD_SIZE", "1"), ("SLURM_STEP_NUM_TASKS", "4"), ("SLURM_PROCID", "3")]);
        assert!(one.is_launched() && one.others().is_none());
        let four = launch(&[("PMI_SIZE", "4"), ("SLURM_STEP_NUM_TASKS", "1")]);
        assert_eq!(four.others().map(|o| o.n_ranks), Some(4));
    }
}
