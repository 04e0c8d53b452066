//! What a component needs, and which engine has it.

use wasmparser::{Instance, Parser, Payload};

use crate::admission::invalid;
use crate::engine::EngineKind;
use crate::error::AdmissionError;
use crate::limits::Limits;

/// What an engine offers to a component.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    pub engine: EngineKind,
    /// Bounds on each run.
    pub limits: Limits,
    /// Largest component, in bytes.
    pub max_bytes: usize,
}

/// The largest component that any of them takes, in bytes.
pub fn largest(offers: &[Offer]) -> usize {
    offers.iter().map(|offer| offer.max_bytes).max().unwrap_or_default()
}

/// What one instance of a component takes, as far as its text tells. What it does not tell, such as
/// modules that are instantiated twice, the engine refuses when it loads the component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Core modules.
    pub modules: u64,
    /// Instances of them.
    pub core_instances: u64,
    /// Linear memories.
    pub memories: u64,
    /// Bytes of memory at start, of the largest.
    pub memory_bytes: u64,
    /// Tables.
    pub tables: u64,
    /// Elements of the largest table at start.
    pub table_elements: u64,
    /// Bytes that are written into memories at start.
    pub data_bytes: u64,
}

impl Needs {
    pub(crate) fn of(wasm: &[u8]) -> Result<Self, AdmissionError> {
        let mut needs = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(|error| invalid(&error))? {
                Payload::ModuleSection { .. } => needs.modules += 1,
                Payload::InstanceSection(section) => {
                    for instance in section {
                        let instance = instance.map_err(|error| invalid(&error))?;
                        needs.core_instances +=
                            u64::from(matches!(instance, Instance::Instantiate { .. }));
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        let pages = memory.map_err(|error| invalid(&error))?.initial;
                        needs.memories += 1;
                        needs.memory_bytes = needs.memory_bytes.max(pages.saturating_mul(64 << 10));
                    }
                }
                Payload::TableSection(section) => {
                    for table in section {
                        let elements = table.map_err(|error| invalid(&error))?.ty.initial;
                        needs.tables += 1;
                        needs.table_elements = needs.table_elements.max(elements);
                    }
                }
                Payload::DataSection(section) => {
                    for segment in section {
                        let segment = segment.map_err(|error| invalid(&error))?;
                        needs.data_bytes += segment.data.len() as u64;
                    }
                }
                _ => {}
            }
        }
        Ok(needs)
    }

    /// The first engine that has it all, for a component of this size; where none has, the error is
    /// what the last one lacks.
    pub(crate) fn choose(
        &self,
        size: usize,
        offers: &[Offer],
    ) -> Result<EngineKind, AdmissionError> {
        let mut outcome = Err(AdmissionError::TooLarge { size, limit: largest(offers) });
        for offer in offers {
            outcome = if size <= offer.max_bytes {
                self.fit(offer).map(|()| offer.engine)
            } else {
                Err(AdmissionError::TooLarge { size, limit: offer.max_bytes })
            };
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Whether an engine has it all; if not, what of it the engine lacks.
    fn fit(&self, offer: &Offer) -> Result<(), AdmissionError> {
        let slot = offer.engine.slot();
        let limits = &offer.limits;
        within("bytes of memory at start", self.memory_bytes, limits.memory_bytes as u64)?;
        within("table elements at start", self.table_elements, limits.table_elements as u64)?;
        within("memories", self.memories, slot.memories.into())?;
        within("tables", self.tables, slot.tables.into())?;
        within("core instances", self.core_instances, slot.core_instances.into())?;
        within("bytes of data", self.data_bytes, slot.data_bytes)
    }
}

fn within(what: &'static str, needed: u64, limit: u64) -> Result<(), AdmissionError> {
    if needed <= limit {
        return Ok(());
    }
    Err(AdmissionError::NeedsTooMuch { what, needed, limit })
}
