//! Facts of a host's hardware, and of what it runs on, from what the script of `setup` printed.
//!
//! Pure. Names and shapes are those of ansible-core 2.19, `module_utils/facts/hardware/linux.py`
//! and `virtual/linux.py`.

use std::collections::BTreeMap;

use super::facts::Sections;
use super::result::{fields, strings};
use crate::value::{Map, Value};

/// Facts of the hardware.
pub(super) fn hardware(seen: &Sections) -> Map {
    let mut facts = memory(seen);
    facts.extend(processors(seen));
    let uptime = seen.first("uptime").split('.').next().unwrap_or_default();
    if let Ok(seconds) = uptime.parse() {
        facts.insert("uptime_seconds".into(), Value::Int(seconds));
    }
    let dmi = seen.pairs("dmi");
    for (fact, file) in [
        ("bios_date", "bios_date"),
        ("bios_vendor", "bios_vendor"),
        ("bios_version", "bios_version"),
        ("board_asset_tag", "board_asset_tag"),
        ("board_name", "board_name"),
        ("board_serial", "board_serial"),
        ("board_vendor", "board_vendor"),
        ("board_version", "board_version"),
        ("chassis_asset_tag", "chassis_asset_tag"),
        ("chassis_serial", "chassis_serial"),
        ("chassis_vendor", "chassis_vendor"),
        ("chassis_version", "chassis_version"),
        ("product_name", "product_name"),
        ("product_serial", "product_serial"),
        ("product_uuid", "product_uuid"),
        ("product_version", "product_version"),
        ("system_vendor", "sys_vendor"),
    ] {
        facts.insert(fact.into(), dmi.get(file).copied().unwrap_or("NA").into());
    }
    facts.insert("lvm".into(), "N/A".into());
    facts.insert("mounts".into(), mounts(seen));
    facts.insert("devices".into(), devices(seen));
    facts
}

fn memory(seen: &Sections) -> Map {
    let of = |name: &str| {
        seen.lines("meminfo")
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<i64>().ok())
            .map(|kib| kib / 1024)
    };
    let Some(total) = of("MemTotal") else {
        return Map::new();
    };
    let value = |name: &str| of(name).unwrap_or_default();
    let free = value("MemFree");
    let unused = value("Cached") + free + value("Buffers");
    let (swap, swap_free) = (value("SwapTotal"), value("SwapFree"));
    fields([
        ("memtotal_mb", Value::Int(total)),
        ("memfree_mb", Value::Int(free)),
        ("swaptotal_mb", Value::Int(swap)),
        ("swapfree_mb", Value::Int(swap_free)),
        (
            "memory_mb",
            Value::from(fields([
                (
                    "real",
                    Value::from(fields([
                        ("total", Value::Int(total)),
                        ("used", Value::Int(total - free)),
                        ("free", Value::Int(free)),
                    ])),
                ),
                (
                    "nocache",
                    Value::from(fields([
                        ("free", Value::Int(unused)),
                        ("used", Value::Int(total - unused)),
                    ])),
                ),
                (
                    "swap",
                    Value::from(fields([
                        ("total", Value::Int(swap)),
                        ("free", Value::Int(swap_free)),
                        ("used", Value::Int(swap - swap_free)),
                        ("cached", Value::Int(value("SwapCached"))),
                    ])),
                ),
            ])),
        ),
    ])
}

fn processors(seen: &Sections) -> Map {
    let mut names: Vec<&str> = Vec::new();
    let (mut vendors, mut models, mut occurrences) = (0i64, 0i64, 0i64);
    let mut sockets: BTreeMap<&str, i64> = BTreeMap::new();
    let (mut socket, mut siblings) = ("", None);
    let mut flags: Vec<&str> = Vec::new();
    for line in seen.lines("cpuinfo") {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        let (key, value) = (key.trim(), value.trim());
        match key {
            "model name" | "Processor" | "vendor_id" | "cpu" | "Vendor" | "processor" => {
                names.push(value);
                vendors += i64::from(key == "vendor_id");
                models += i64::from(key == "model name");
                occurrences += i64::from(key == "processor");
            }
            "flags" => flags = value.split_whitespace().collect(),
            "physical id" => {
                socket = value;
                sockets.entry(socket).or_insert(1);
            }
            "siblings" => siblings = value.parse::<i64>().ok().or(siblings),
            "cpu cores" => {
                sockets.insert(socket, value.parse().unwrap_or(1));
            }
            _ => {}
        }
    }
    if names.is_empty() {
        return Map::new();
    }
    let count = if sockets.is_empty() {
        if vendors > 0 && vendors == models {
            vendors
        } else {
            occurrences
        }
    } else {
        i64::try_from(sockets.len()).unwrap_or(1)
    };
    let cores = sockets
        .values()
        .next()
        .copied()
        .filter(|c| *c > 0)
        .unwrap_or(1);
    let threads = (siblings.unwrap_or(1) / cores).max(1);
    let nproc = seen.first("nproc").parse().unwrap_or(occurrences);
    fields([
        ("processor", strings(names)),
        ("processor_count", Value::Int(count)),
        ("processor_cores", Value::Int(cores)),
        ("processor_threads_per_core", Value::Int(threads)),
        ("processor_vcpus", Value::Int(threads * count * cores)),
        ("processor_nproc", Value::Int(nproc)),
        ("flags", strings(flags)),
    ])
}

/// The file systems that `/proc/mounts` and `df` both know.
fn mounts(seen: &Sections) -> Value {
    let mut out: Vec<Value> = Vec::new();
    for line in seen.lines("mounts") {
        let words: Vec<&str> = line.split(' ').collect();
        let [device, mount, fstype, options, dump, passno] = words[..] else {
            continue;
        };
        let (device, mount) = (unescaped(device), unescaped(mount));
        // Ansible leaves out what has neither a path nor a remote host for a device.
        if !device.starts_with(['/', '\\']) && !device.contains(":/") || fstype == "none" {
            continue;
        }
        let mut entry = fields([
            ("mount", mount.as_str().into()),
            ("device", device.as_str().into()),
            ("fstype", fstype.into()),
            ("options", options.into()),
            ("dump", Value::Int(dump.parse().unwrap_or_default())),
            ("passno", Value::Int(passno.parse().unwrap_or_default())),
            ("uuid", uuid(seen, &device).into()),
        ]);
        if let Some([total, available]) = space(seen, &mount) {
            entry.insert("size_total".into(), Value::Int(total * 1024));
            entry.insert("size_available".into(), Value::Int(available * 1024));
        }
        out.push(Value::from(entry));
    }
    Value::from(out)
}

/// Total and available space of a file system in KiB, from `df -Pk`.
fn space(seen: &Sections, mount: &str) -> Option<[i64; 2]> {
    seen.lines("df").iter().skip(1).find_map(|line| {
        let (at, words) = df_line(line)?;
        (at == mount).then_some(words)
    })
}

fn df_line(line: &str) -> Option<(&str, [i64; 2])> {
    let percent = line.find("% ")?;
    let words: Vec<&str> = line[..percent].split_whitespace().collect();
    let [.., total, _used, available, _capacity] = words[..] else {
        return None;
    };
    Some((
        line[percent + 1..].trim(),
        [total.parse().ok()?, available.parse().ok()?],
    ))
}

fn uuid(seen: &Sections, device: &str) -> String {
    let name = device.rsplit('/').next().unwrap_or(device);
    seen.lines("uuids")
        .iter()
        .find_map(|line| {
            let (link, target) = line.split_once(" -> ")?;
            (target.rsplit('/').next() == Some(name)).then(|| link.rsplit(' ').next())?
        })
        .unwrap_or("N/A")
        .to_owned()
}

/// A path as `/proc/mounts` writes it, with blanks as octal escapes.
fn unescaped(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (code, c)| text.replace(code, c))
}

fn devices(seen: &Sections) -> Value {
    let mut devices = Map::new();
    for line in seen.lines("devices") {
        let Some((name, rest)) = line.split_once(' ') else {
            continue;
        };
        let mut words = rest.splitn(4, ' ');
        let sectors: i64 = words
            .next()
            .and_then(|s| s.parse().ok())
            .unwrap_or_default();
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (rotational, removable, model) = (word(), word(), word());
        devices.insert(
            name.to_owned(),
            Value::from(fields([
                ("sectors", Value::Int(sectors)),
                ("size", size(sectors * 512).into()),
                ("rotational", rotational.into()),
                ("removable", removable.into()),
                (
                    "model",
                    if model.is_empty() {
                        Value::Null
                    } else {
                        model.trim().into()
                    },
                ),
            ])),
        );
    }
    Value::from(devices)
}

/// A size as Ansible writes it: `8.00 GB`.
fn size(bytes: i64) -> String {
    let units = [
        ("TB", 1_i64 << 40),
        ("GB", 1 << 30),
        ("MB", 1 << 20),
        ("KB", 1 << 10),
    ];
    let (unit, factor) = units
        .into_iter()
        .find(|(_, factor)| bytes >= *factor)
        .unwrap_or(("Bytes", 1));
    #[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
    let value = bytes as f64 / factor as f64;
    format!("{value:.2} {unit}")
}

/// What the host runs on.
pub(super) fn virtualization(seen: &Sections) -> Map {
    let dmi = seen.pairs("dmi");
    let of = |name: &str| dmi.get(name).copied().unwrap_or_default();
    let mut guest: Vec<String> = Vec::new();
    let mut add = |tech: &str| {
        if !guest.iter().any(|known| known == tech) {
            guest.push(tech.to_owned());
        }
    };
    for line in seen.lines("cgroup") {
        if line.contains("/docker/") || line.contains("/docker-") {
            add("docker");
        }
        if line.contains("/lxc/") || line.contains("/machine.slice/machine-lxc") {
            add("lxc");
        }
        if line.contains("/system.slice/containerd.service") {
            add("containerd");
        }
    }
    match seen.first("container_env") {
        "" => {}
        tech @ ("lxc" | "podman") => add(tech),
        _ => add("container"),
    }
    match seen.first("container") {
        "" => {}
        tech => add(tech),
    }
    if seen.has_flag("dockerenv") {
        add("docker");
    }
    let (product, vendor, bios) = (of("product_name"), of("sys_vendor"), of("bios_vendor"));
    if matches!(product, "KVM" | "KVM Server" | "Bochs" | "AHV")
        || matches!(bios, "Amazon EC2" | "DigitalOcean" | "Hetzner" | "Linode")
        || matches!(
            vendor,
            "QEMU" | "Amazon EC2" | "DigitalOcean" | "Google" | "Scaleway" | "Nutanix"
        )
    {
        add("kvm");
    }
    for (is, tech) in [
        (product.starts_with("VMware"), "VMware"),
        (product.starts_with("OpenStack"), "openstack"),
        (bios == "Xen", "xen"),
        (bios == "innotek GmbH", "virtualbox"),
        (vendor == "Microsoft Corporation", "VirtualPC"),
    ] {
        if is {
            add(tech);
        }
    }
    let is_host = seen.lines("modules").iter().any(|line| line == "kvm");
    let host: &[&str] = if is_host { &["kvm"] } else { &[] };
    let (kind, role) = match guest.first() {
        Some(tech) => (tech.as_str(), "guest"),
        None if is_host => ("kvm", "host"),
        None => ("NA", "NA"),
    };
    fields([
        ("virtualization_type", kind.into()),
        ("virtualization_role", role.into()),
        ("virtualization_tech_guest", strings(guest.iter().cloned())),
        ("virtualization_tech_host", strings(host.iter().copied())),
    ])
}
