//! Files with which a client finds the lab's API server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

/// The name in the API server's certificate that every client asks for: its addresses differ by network.
const SERVER_NAME: &str = "kubernetes.default.svc";

/// Writes a kubeconfig for `user` with `token`.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &Path, server: &str, authority: &Path, user: &str, token: &str) -> Result<PathBuf> {
    // JSON is YAML.
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {
            "server": server,
            "certificate-authority": authority,
            "tls-server-name": SERVER_NAME,
        }}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
        "current-context": "lab",
    });
    std::fs::write(file, serde_json::to_vec_pretty(&config)?).with_context(|| file.display().to_string())?;
    Ok(file.to_path_buf())
}
