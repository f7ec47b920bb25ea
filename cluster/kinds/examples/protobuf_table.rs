//! Generates `src/protobuf/messages.txt`, the table that the protobuf decoder is driven by.
//!
//! Go struct tags are the one place where a field's wire tag, its JSON name, and whether a zero value is shown stand side
//! by side, so the table is read from the `types*.go` files of Kubernetes' API repositories (v1.37):
//!
//! ```text
//! cargo run -p cluster-kinds --example protobuf_table -- \
//!     api apimachinery apiextensions-apiserver kube-aggregator > cluster/kinds/src/protobuf/messages.txt
//! ```
//!
//! The arguments are checkouts of the repositories of those names under github.com/kubernetes. Only facts are taken:
//! message names, tag numbers, field names and types.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use cluster_kinds::builtin;

/// Kinds that arrive in bodies but are no resource of their own.
const EXTRA_ROOTS: [&str; 5] = [
    "meta.v1.DeleteOptions",
    "autoscaling.v1.Scale",
    "policy.v1.Eviction",
    "core.v1.Binding",
    "authentication.v1.TokenRequest",
];

/// Go types with a JSON form of their own, and their code in the table.
const SPECIAL: [(&str, &str); 12] = [
    ("meta.v1.Time", "T"),
    ("meta.v1.MicroTime", "U"),
    ("meta.v1.FieldsV1", "R"),
    ("resource.Quantity", "Q"),
    ("intstr.IntOrString", "I"),
    ("runtime.RawExtension", "R"),
    ("apiextensions.v1.JSON", "J"),
    ("apiextensions.v1.JSONSchemaPropsOrArray", "A"),
    ("apiextensions.v1.JSONSchemaPropsOrBool", "B"),
    ("apiextensions.v1.JSONSchemaPropsOrStringArray", "S"),
    ("types.UID", "s"),
    ("types.NodeName", "s"),
];

/// First lines of the table.
const HEADER: &str = "\
# Wire tags of the messages that requests may carry. Generated: see examples/protobuf_table.rs.
# Message, then one line per field: tag, JSON name (~ for fields of an embedded struct), type, ! if zero is shown.
# Types: s string, b bool, i integer, d double, y bytes, T time, U time in microseconds, Q quantity, I int-or-string,
# R and J raw JSON, A B S unions of JSON schemas, otherwise a message. * marks a list, % a map by string.

";

/// What a Go type name stands for.
enum GoType {
    Struct(Vec<GoField>),
    /// A named string, number, slice or map: the type behind it.
    Alias(String),
}

struct GoField {
    tag: u32,
    json_name: Option<String>,
    go_type: String,
    omit_zero: bool,
}

/// All types by full name, such as `core.v1.Pod`.
type Types = BTreeMap<String, GoType>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut types = Types::new();
    for root in std::env::args().skip(1) {
        let root = PathBuf::from(root);
        for file in go_files(&root)? {
            read_file(&root, &file, &mut types)?;
        }
    }
    let mut roots: Vec<String> = EXTRA_ROOTS.iter().map(|root| (*root).to_owned()).collect();
    for kind in builtin() {
        roots.push(format!("{}.{}.{}", package(kind.group), kind.version, kind.kind));
    }
    let table = render(&types, roots)?;
    std::io::stdout().write_all(table.as_bytes())?;
    Ok(())
}

fn package(group: &str) -> &str {
    match group.split('.').next() {
        None | Some("") => "core",
        Some(first) => first,
    }
}

/// Finds `types*.go`.
fn go_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        if path.is_dir() {
            found.extend(go_files(&path)?);
        } else if name.starts_with("types") && name.ends_with(".go") && !name.contains("swagger") {
            found.push(path);
        }
    }
    Ok(found)
}

fn read_file(root: &Path, file: &Path, types: &mut Types) -> Result<(), Box<dyn Error>> {
    let parts: Vec<&str> = file
        .strip_prefix(root)?
        .iter()
        .filter_map(|part| part.to_str())
        .collect();
    let [.., group, version, _] = parts.as_slice() else {
        return Ok(());
    };
    let package = format!("{group}.{version}");
    let source = std::fs::read_to_string(file)?;
    let mut imports: BTreeMap<String, String> = BTreeMap::new();
    let mut current: Option<(String, Vec<GoField>)> = None;
    for line in source.lines() {
        let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "import").collect();
        if let Some((name, fields)) = &mut current {
            if line == "}" {
                types.insert(std::mem::take(name), GoType::Struct(std::mem::take(fields)));
                current = None;
            } else if let Some(field) = read_field(line, &package, &imports) {
                fields.push(field);
            }
            continue;
        }
        match words.as_slice() {
            ["type", name, "struct", "{"] => current = Some((format!("{package}.{name}"), Vec::new())),
            ["type", name, "struct{}"] => {
                types.insert(format!("{package}.{name}"), GoType::Struct(Vec::new()));
            }
            ["type", name, behind] => {
                types.insert(
                    format!("{package}.{name}"),
                    GoType::Alias(qualify(behind, &package, &imports)),
                );
            }
            [path] | [_, path] if path.starts_with('"') && path.ends_with('"') => {
                let path = path.trim_matches('"');
                let last: Vec<&str> = path.rsplit('/').take(2).collect();
                let alias = if words.len() == 2 {
                    words.first().copied()
                } else {
                    last.first().copied()
                };
                let target = match last.as_slice() {
                    [version, group, ..] if version.starts_with('v') => format!("{group}.{version}"),
                    [name, ..] => (*name).to_owned(),
                    [] => continue,
                };
                imports.insert(alias.unwrap_or_default().to_owned(), target);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads `Name Type `json:"…" protobuf:"…"``, or an embedded `Type` with the same tags.
fn read_field(line: &str, package: &str, imports: &BTreeMap<String, String>) -> Option<GoField> {
    let (declaration, tags) = line.trim().split_once('`')?;
    if declaration.starts_with("//") {
        return None;
    }
    let tag: u32 = quoted(tags, "protobuf:")?.split(',').nth(1)?.parse().ok()?;
    let mut words = declaration.split_whitespace();
    let first = words.next()?;
    let json = quoted(tags, "json:");
    let (name, options) = json.map_or(("", ""), |json| json.split_once(',').unwrap_or((json, "")));
    let go_type = qualify(words.next().unwrap_or(first), package, imports);
    Some(GoField {
        tag,
        json_name: (!name.is_empty()).then(|| name.to_owned()),
        omit_zero: options.contains("omitempty") && !go_type.starts_with('*'),
        go_type,
    })
}

fn quoted<'a>(tags: &'a str, key: &str) -> Option<&'a str> {
    tags.split_once(key)?.1.split('"').nth(1)
}

/// Writes package names in full: `*v1.PodSpec` in `apps/v1` becomes `*core.v1.PodSpec`.
fn qualify(go_type: &str, package: &str, imports: &BTreeMap<String, String>) -> String {
    if let Some(rest) = go_type.strip_prefix('*') {
        return format!("*{}", qualify(rest, package, imports));
    }
    if let Some(rest) = go_type.strip_prefix("[]") {
        return format!("[]{}", qualify(rest, package, imports));
    }
    if let Some((key, rest)) = go_type.strip_prefix("map[").and_then(|rest| rest.split_once(']')) {
        return format!("map[{key}]{}", qualify(rest, package, imports));
    }
    match go_type.split_once('.') {
        Some((alias, name)) => format!("{}.{name}", imports.get(alias).map_or(alias, String::as_str)),
        None if go_type.starts_with(char::is_lowercase) => go_type.to_owned(),
        None => format!("{package}.{go_type}"),
    }
}

fn render(types: &Types, roots: Vec<String>) -> Result<String, Box<dyn Error>> {
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut messages: BTreeMap<String, String> = BTreeMap::new();
    let mut open = roots;
    while let Some(name) = open.pop() {
        if !done.insert(name.clone()) {
            continue;
        }
        let mut text = String::new();
        match types.get(&name) {
            Some(GoType::Struct(fields)) => {
                for field in fields {
                    let code =
                        code(types, &field.go_type, &mut open).map_err(|error| format!("{name}: {error}"))?;
                    let inline = field.json_name.is_none();
                    let json_name = field.json_name.as_deref().unwrap_or("~");
                    let keep = if field.omit_zero || inline { "" } else { "!" };
                    writeln!(text, "{} {json_name} {code}{keep}", field.tag)?;
                }
            }
            // A named list inside a map is a message with one field, and a bare list in JSON.
            Some(GoType::Alias(behind)) => writeln!(text, "1 ~ {}", code(types, behind, &mut open)?)?,
            None => return Err(format!("no type {name}").into()),
        }
        messages.insert(name, text);
    }
    // The union types are decoded by hand, but what they contain is not.
    let mut table = HEADER.to_owned();
    for (name, text) in messages {
        write!(table, "{name}\n{text}\n")?;
    }
    Ok(table)
}

/// Translates a Go type to its code, and notes the messages that it needs.
fn code(types: &Types, go_type: &str, open: &mut Vec<String>) -> Result<String, Box<dyn Error>> {
    if let Some(rest) = go_type.strip_prefix('*') {
        return code(types, rest, open);
    }
    if go_type == "[]byte" {
        return Ok("y".to_owned());
    }
    if let Some(rest) = go_type.strip_prefix("[]") {
        return Ok(format!("*{}", code(types, rest, open)?));
    }
    if let Some((_, rest)) = go_type.strip_prefix("map[").and_then(|rest| rest.split_once(']')) {
        if matches!(types.get(rest), Some(GoType::Alias(behind)) if behind.starts_with("[]")) {
            open.push(rest.to_owned());
            return Ok(format!("%{rest}"));
        }
        return Ok(format!("%{}", code(types, rest, open)?));
    }
    let scalar = match go_type {
        "string" => Some("s"),
        "bool" => Some("b"),
        "int" | "int32" | "int64" => Some("i"),
        "float64" => Some("d"),
        other => SPECIAL
            .iter()
            .find(|(name, _)| *name == other)
            .map(|(_, code)| *code),
    };
    if let Some(scalar) = scalar {
        if matches!(scalar, "A" | "B" | "S") {
            open.push("apiextensions.v1.JSONSchemaProps".to_owned());
        }
        return Ok(scalar.to_owned());
    }
    match types.get(go_type) {
        Some(GoType::Alias(behind)) => code(types, behind, open),
        Some(GoType::Struct(_)) => {
            open.push(go_type.to_owned());
            Ok(go_type.to_owned())
        }
        None => Err(format!("no type {go_type}").into()),
    }
}
