//! `cargo xtask dashboard`: the Grafana dashboard, written to `deploy/grafana/keyward.json`.
//!
//! What is on it is the table in `rows`; all else of Grafana's model follows from that.

mod rows;

use std::fs;

use serde_json::{Value, json};

use self::rows::{Panel, ROWS};
use crate::{Result, workspace};

/// Below the workspace's root.
const FILE: &str = "deploy/grafana/keyward.json";

/// Grafana's grid is 24 wide; three panels stand side by side.
const WIDTH: usize = 8;
const HEIGHT: usize = 8;
const IN_A_ROW: usize = 24 / WIDTH;

pub fn run(arguments: &[String]) -> Result<()> {
    let [] = arguments else { return Err("`dashboard` takes no arguments".into()) };
    let path = workspace::root()?.join(FILE);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut text = serde_json::to_string_pretty(&dashboard())?;
    text.push('\n');
    fs::write(&path, text)?;
    println!("dashboard: {}", path.display());
    Ok(())
}

fn dashboard() -> Value {
    let mut panels = Vec::new();
    let mut y = 0;
    for row in ROWS {
        panels.push(json!({
            "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "id": panels.len() + 1, "gridPos": { "h": 1, "w": 24, "x": 0, "y": y },
        }));
        y += 1;
        for (index, panel) in row.panels.iter().enumerate() {
            let (x, below) = (index % IN_A_ROW * WIDTH, index / IN_A_ROW * HEIGHT);
            panels.push(series(panel, panels.len() + 1, x, y + below));
        }
        y += row.panels.len().div_ceil(IN_A_ROW) * HEIGHT;
    }
    json!({
        "title": "Keyward",
        "uid": "keyward",
        "tags": ["keyward"],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "timezone": "browser",
        "refresh": "30s",
        "time": { "from": "now-6h", "to": "now" },
        "templating": { "list": [
            { "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus" },
            variable("job", "label_values(keyward_build_info, job)"),
            variable("instance", "label_values(keyward_build_info{job=~\"$job\"}, instance)"),
        ] },
        "panels": panels,
    })
}

/// One that offers the values of a label, all of them chosen at first.
fn variable(name: &str, query: &str) -> Value {
    json!({
        "name": name, "type": "query", "datasource": source(), "query": query,
        "definition": query, "refresh": 2, "sort": 1, "multi": true, "includeAll": true,
        "allValue": ".*", "current": { "text": "All", "value": "$__all" },
    })
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn series(panel: &Panel, id: usize, x: usize, y: usize) -> Value {
    let targets = panel.queries.iter().zip('A'..='Z').map(|((query, legend), name)| {
        json!({
            "refId": name.to_string(), "datasource": source(), "legendFormat": legend,
            "expr": query.replace('@', "job=~\"$job\",instance=~\"$instance\""),
        })
    });
    json!({
        "type": "timeseries", "id": id, "title": panel.title, "description": panel.description,
        "datasource": source(), "targets": targets.collect::<Vec<_>>(),
        "gridPos": { "h": HEIGHT, "w": WIDTH, "x": x, "y": y },
        "fieldConfig": {
            "defaults": { "unit": panel.unit, "min": 0, "custom": { "fillOpacity": 10 } },
            "overrides": [],
        },
        "options": {
            "legend": { "displayMode": "list", "placement": "bottom" },
            "tooltip": { "mode": "multi", "sort": "desc" },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_dashboard_in_deploy_is_this_one() {
        let path = workspace::root().unwrap().join(FILE);
        let kept: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert!(kept == dashboard(), "{FILE} is not up to date: run `cargo xtask dashboard`");
    }

    #[test]
    fn panels_have_their_own_place_and_number_and_are_of_the_chosen_servers() {
        let dashboard = dashboard();
        let panels = dashboard["panels"].as_array().unwrap();
        let distinct = |field: &str| {
            panels.iter().map(|panel| panel[field].to_string()).collect::<BTreeSet<_>>().len()
        };
        assert_eq!((distinct("id"), distinct("gridPos")), (panels.len(), panels.len()));
        for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
            let query = target["expr"].as_str().unwrap();
            assert_eq!(
                query.matches("keyward_").count(),
                query.matches("instance=~\"$instance\"").count(),
                "{query}"
            );
        }
    }
}
