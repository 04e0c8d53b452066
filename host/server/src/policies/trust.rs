//! `tenants/<tenant>/policy-trust`: whose signatures a tenant's policies need.

use keyward_keyring::TenantName;
use serde::{Deserialize, Serialize};

use super::kept::Kept;
use super::signature::{Artefact, Signature, SignerKey};

/// A signer as an operator names one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Signer {
    /// For people.
    pub name: String,
    /// Ed25519, SubjectPublicKeyInfo, PEM.
    pub public_key: String,
}

/// What operators set for one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct TrustRecord {
    /// Any one of them suffices.
    pub signers: Vec<Signer>,
    /// Whether policies without a signature pass; `None`: as the server's settings say.
    #[serde(default)]
    pub unsigned: Option<bool>,
    /// Unix time in ms.
    pub set_at: u64,
    /// Subject of the operator's credential.
    pub set_by: String,
}

pub(super) fn path(tenant: &TenantName) -> String {
    format!("tenants/{tenant}/policy-trust")
}

/// Whether a component may be a tenant's policy, as far as signatures go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Signed by these signers, at least one.
    Signed(Vec<String>),
    /// Not signed by anybody trusted, and that is allowed.
    Unsigned,
    /// No; why, and what to do.
    Refused(String),
}

impl Verdict {
    /// Whether it may be activated.
    pub fn is_trusted(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// Names of the signers.
    pub fn signers(&self) -> &[String] {
        match self {
            Self::Signed(names) => names,
            Self::Unsigned | Self::Refused(_) => &[],
        }
    }
}

/// What applies to one tenant.
pub struct Trust {
    signers: Vec<(String, SignerKey)>,
    unsigned: bool,
    /// Said instead, where the record cannot be read.
    damaged: bool,
}

impl Trust {
    /// That of a tenant's record, or of none. Only operators write records, so what one says goes
    /// before the server's setting, in either direction.
    pub fn of(record: Option<&TrustRecord>, default_unsigned: bool) -> Self {
        let Some(record) = record else {
            return Self { signers: Vec::new(), unsigned: default_unsigned, damaged: false };
        };
        let keys = record.signers.iter().map(|signer| {
            let key = SignerKey::from_pem(&signer.public_key).ok()?;
            Some((signer.name.clone(), key))
        });
        match keys.collect::<Option<Vec<_>>>() {
            Some(signers) => {
                let unsigned = record.unsigned.unwrap_or(default_unsigned);
                Self { signers, unsigned, damaged: false }
            }
            None => Self::damaged(),
        }
    }

    /// That of a record that cannot be read: nobody is trusted.
    pub fn damaged() -> Self {
        Self { signers: Vec::new(), unsigned: false, damaged: true }
    }

    /// Whether a policy without a signature passes.
    pub fn takes_unsigned(&self) -> bool {
        self.unsigned
    }

    /// The name of the signer whose key has this id.
    pub fn name_of(&self, keyid: &str) -> Option<&str> {
        let found = self.signers.iter().find(|(_, key)| key.id() == keyid);
        found.map(|(name, _)| name.as_str())
    }

    /// A signature that says it is a trusted signer's, and is not.
    pub fn false_one<'a>(
        &self,
        tenant: &TenantName,
        kept: &Kept,
        given: &'a [Signature],
    ) -> Option<&'a Signature> {
        given.iter().find(|signature| {
            let claimed = self.signers.iter().find(|(_, key)| key.id() == signature.keyid);
            claimed.is_some_and(|(_, key)| !is_of(key, signature, tenant, kept))
        })
    }

    /// Whether it is a trusted signer's, of this component for this tenant.
    pub fn has(
        &self,
        signature: &Signature,
        tenant: &TenantName,
        digest: &str,
        size: usize,
    ) -> bool {
        let tenant = tenant.as_str();
        self.signers.iter().any(|(_, key)| key.verifies(signature, tenant, digest, size))
    }

    /// The signature of cosign's as one of a trusted signer's; `None` if it is nobody's. Those of
    /// cosign do not say whose they are.
    pub fn claimed(&self, artefact: Artefact, signature: &str) -> Option<Signature> {
        let bytes = artefact.statement.as_bytes();
        let (_, key) = self.signers.iter().find(|(_, key)| key.signed(bytes, signature))?;
        let (keyid, signature) = (key.id().to_owned(), signature.to_owned());
        Some(Signature { keyid, signature, artefact: Some(artefact) })
    }

    /// Whether the component may be the tenant's policy.
    pub fn verdict(&self, tenant: &TenantName, kept: &Kept) -> Verdict {
        let signed =
            |key: &SignerKey| kept.signatures.iter().any(|it| is_of(key, it, tenant, kept));
        let names: Vec<String> = self
            .signers
            .iter()
            .filter(|(_, key)| signed(key))
            .map(|(name, _)| name.clone())
            .collect();
        if !names.is_empty() {
            return Verdict::Signed(names);
        }
        if self.unsigned {
            return Verdict::Unsigned;
        }
        let names: Vec<&str> = self.signers.iter().map(|(name, _)| name.as_str()).collect();
        Verdict::Refused(if self.damaged {
            "the tenant's record of trusted signers is damaged; an operator sets it anew: PUT \
             …/policy/trust"
                .to_owned()
        } else if names.is_empty() {
            "the policy has no signature that this server trusts, and the tenant has no trusted \
             signers; an operator names them, or allows unsigned policies: PUT …/policy/trust"
                .to_owned()
        } else {
            format!(
                "the policy is not signed by any of this tenant's signers ({}); push it with one's \
                 signature: keyward policy push FILE --sign KEY.pem",
                names.join(", ")
            )
        })
    }
}

/// Whether it is a signature of this key, of this component for this tenant.
fn is_of(key: &SignerKey, signature: &Signature, tenant: &TenantName, kept: &Kept) -> bool {
    key.verifies(signature, tenant.as_str(), &kept.digest, kept.size)
}

#[cfg(test)]
mod tests {
    use keyward_crypto::{KeyId, KeyMaterial, KeyVersion, SignatureForm};

    use super::super::signature;
    use super::*;
    use crate::oci::simple_signing::Statement;

    fn signer() -> (KeyVersion, Signer) {
        let algorithm = keyward_crypto::Algorithm::Ed25519;
        let material = KeyMaterial::generate(algorithm).unwrap();
        let key = KeyVersion::new(algorithm, KeyId(1), 1, &material).unwrap();
        let public_key = key.public_key().unwrap().pem();
        (key, Signer { name: "release".into(), public_key })
    }

    fn record(signer: &Signer, unsigned: Option<bool>) -> TrustRecord {
        TrustRecord { signers: vec![signer.clone()], unsigned, set_at: 1, set_by: "test".into() }
    }

    fn kept(signatures: Vec<Signature>) -> Kept {
        Kept {
            digest: "sha256:00".into(),
            size: 7,
            contract: "0.1.0".into(),
            imports: Vec::new(),
            operations: Vec::new(),
            pushed_at: 1,
            pushed_by: "test".into(),
            source: None,
            signatures,
        }
    }

    fn signed(key: &KeyVersion, tenant: &str, digest: &str, size: usize) -> Signature {
        let statement = signature::statement(tenant, digest, size);
        let bytes = key.sign(&statement, SignatureForm::Standard).unwrap();
        Signature::new(signature::key_id(&key.public_key().unwrap()), &bytes)
    }

    #[test]
    fn a_signature_is_for_one_tenant_and_one_component() {
        let (key, signer) = signer();
        let trust = Trust::of(Some(&record(&signer, Some(false))), true);
        let (acme, other) = ("acme".parse().unwrap(), "other".parse().unwrap());
        let good = kept(vec![signed(&key, "acme", "sha256:00", 7)]);
        assert_eq!(trust.verdict(&acme, &good), Verdict::Signed(vec!["release".into()]));
        assert!(!trust.verdict(&other, &good).is_trusted());
        assert_eq!(trust.false_one(&acme, &good, &good.signatures), None);
        assert!(trust.false_one(&other, &good, &good.signatures).is_some());
        for (tenant, digest, size) in
            [("other", "sha256:00", 7), ("acme", "sha256:01", 7), ("acme", "sha256:00", 8)]
        {
            let bad = kept(vec![signed(&key, tenant, digest, size)]);
            assert!(!trust.verdict(&acme, &bad).is_trusted(), "{tenant} {digest} {size}");
        }
        let (stranger, _) = self::signer();
        let strange = kept(vec![signed(&stranger, "acme", "sha256:00", 7)]);
        let Verdict::Refused(reason) = trust.verdict(&acme, &strange) else { panic!() };
        assert!(reason.contains("(release)"), "{reason}");
        // Not false: it does not say it is from anybody known.
        assert_eq!(trust.false_one(&acme, &strange, &strange.signatures), None);
    }

    #[test]
    fn a_signature_of_an_artefact_is_of_the_component_that_its_manifest_names() {
        let (key, signer) = signer();
        let trust = Trust::of(Some(&record(&signer, Some(false))), false);
        let (acme, other) = ("acme".parse().unwrap(), "other".parse().unwrap());
        let digest = format!("sha256:{}", "0a".repeat(32));
        let manifest = |digest: &str, size: usize| {
            let layer = serde_json::json!(
                { "mediaType": "application/wasm", "digest": digest, "size": size }
            );
            let config =
                serde_json::json!({ "mediaType": "x/y", "digest": "sha256:00", "size": 1 });
            let manifest =
                serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
            manifest.to_string()
        };
        let claimed = |manifest: &str, only: Option<&str>| {
            let of = crate::policies::ComponentDigest::of(manifest.as_bytes()).to_string();
            let statement = Statement::new("r.example/a".into(), of, only).to_bytes();
            let bytes = key.sign(&statement, SignatureForm::Standard).unwrap();
            let signature = Signature::new(String::new(), &bytes).signature;
            let statement = String::from_utf8(statement).unwrap();
            let artefact = Artefact { statement, manifest: manifest.to_owned() };
            trust.claimed(artefact, &signature)
        };
        let kept = |signature: Option<Signature>| {
            let signatures = signature.into_iter().collect();
            Kept { digest: digest.clone(), ..kept(signatures) }
        };
        let good = claimed(&manifest(&digest, 7), None).unwrap();
        assert_eq!(good.form(), "cosign");
        for tenant in [&acme, &other] {
            assert!(trust.verdict(tenant, &kept(Some(good.clone()))).is_trusted());
        }
        let ours = kept(claimed(&manifest(&digest, 7), Some("acme")));
        assert!(trust.verdict(&acme, &ours).is_trusted());
        assert!(!trust.verdict(&other, &ours).is_trusted());
        // A good signature of another artefact, with this one's manifest.
        let mut swapped =
            claimed(&manifest(&format!("sha256:{}", "0b".repeat(32)), 7), None).unwrap();
        swapped.artefact.as_mut().unwrap().manifest = manifest(&digest, 7);
        let another = claimed(&manifest(&digest, 8), None);
        let mut changed = good.clone();
        changed.artefact.as_mut().unwrap().statement.push(' ');
        for bad in [Some(swapped), another, Some(changed), None] {
            assert!(!trust.verdict(&acme, &kept(bad.clone())).is_trusted(), "{bad:?}");
        }
        let (_, stranger) = self::signer();
        let strict = Trust::of(Some(&record(&stranger, None)), false);
        assert_eq!(strict.claimed(good.artefact.clone().unwrap(), &good.signature), None);
        assert!(!strict.verdict(&acme, &kept(Some(good))).is_trusted());
    }

    #[test]
    fn what_an_operator_set_goes_before_the_servers_setting() {
        let (acme, (_, signer)) = ("acme".parse().unwrap(), signer());
        let unsigned = kept(Vec::new());
        for (own, default, passes) in [
            (None, false, false),
            (None, true, true),
            (Some(None), true, true),
            (Some(None), false, false),
            (Some(Some(false)), true, false),
            (Some(Some(true)), false, true),
        ] {
            let own = own.map(|own| record(&signer, own));
            let trust = Trust::of(own.as_ref(), default);
            assert_eq!(trust.verdict(&acme, &unsigned).is_trusted(), passes, "{own:?} {default}");
        }
        let broken = Signer { public_key: "none".into(), ..signer };
        let trust = Trust::of(Some(&record(&broken, Some(true))), true);
        assert!(!trust.verdict(&acme, &unsigned).is_trusted());
    }
}
