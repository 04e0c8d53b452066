//! Components that are pulled from registries.

use keyward_keyring::TenantName;

use super::signature::Artefact;
use super::{ComponentDigest, Policies, Pushed};
use crate::errors::Code;
use crate::http::Problem;
use crate::oci::{Location, OciError, Pulled, Signed};

impl Policies {
    /// Pulls an artefact from where the operator allows it, admits its component and keeps it, with
    /// those of its signatures that are of the tenant's signers.
    pub async fn pull(
        &self,
        tenant: &TenantName,
        location: &Location,
        by: &str,
    ) -> Result<Pushed, Problem> {
        let registry = self
            .registries
            .open(location, tenant.as_str())
            .await
            .map_err(|error| problem(&error))?;
        let Pulled { wasm, manifest, at } =
            registry.pull(location).await.map_err(|error| problem(&error))?;
        let signed = registry.signatures(&at).await.map_err(|error| problem(&error))?;
        let (_, trust) = self.trust(tenant).await?;
        let signatures = signed.into_iter().filter_map(|Signed { statement, signature }| {
            let artefact = Artefact { statement, manifest: manifest.clone() };
            trust.claimed(artefact, &signature)
        });
        let digest = ComponentDigest::of(&wasm);
        let signatures =
            signatures.filter(|it| trust.has(it, tenant, digest.as_str(), wasm.len())).collect();
        self.push_from(tenant, wasm, signatures, Some(at.to_string()), by).await
    }
}

/// What the caller is told: what it wrote, and what becomes of that; of the way there nothing.
fn problem(error: &OciError) -> Problem {
    let code = Code::of_registry(error);
    match error {
        OciError::Local(reason) => Problem::internal(reason),
        OciError::Unavailable { .. } | OciError::Refused { .. } => {
            tracing::warn!(code = code.as_str(), reason = %error, "a policy was not pulled");
            Problem::new(code, error.to_string())
        }
        OciError::Reference(_) => Problem::field(code, "/from", error.to_string()),
        _ => Problem::new(code, error.to_string()),
    }
}
