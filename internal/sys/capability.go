package sys

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Capabilities by number (man 7 capabilities, linux/capability.h), each name without its CAP_ and in small letters.
var capabilities = [...]string{
	unix.CAP_CHOWN: "chown", unix.CAP_DAC_OVERRIDE: "dac_override", unix.CAP_DAC_READ_SEARCH: "dac_read_search",
	unix.CAP_FOWNER: "fowner", unix.CAP_FSETID: "fsetid", unix.CAP_KILL: "kill", unix.CAP_SETGID: "setgid",
	unix.CAP_SETUID: "setuid", unix.CAP_SETPCAP: "setpcap", unix.CAP_LINUX_IMMUTABLE: "linux_immutable",
	unix.CAP_NET_BIND_SERVICE: "net_bind_service", unix.CAP_NET_BROADCAST: "net_broadcast",
	unix.CAP_NET_ADMIN: "net_admin", unix.CAP_NET_RAW: "net_raw", unix.CAP_IPC_LOCK: "ipc_lock",
	unix.CAP_IPC_OWNER: "ipc_owner", unix.CAP_SYS_MODULE: "sys_module", unix.CAP_SYS_RAWIO: "sys_rawio",
	unix.CAP_SYS_CHROOT: "sys_chroot", unix.CAP_SYS_PTRACE: "sys_ptrace", unix.CAP_SYS_PACCT: "sys_pacct",
	unix.CAP_SYS_ADMIN: "sys_admin", unix.CAP_SYS_BOOT: "sys_boot", unix.CAP_SYS_NICE: "sys_nice",
	unix.CAP_SYS_RESOURCE: "sys_resource", unix.CAP_SYS_TIME: "sys_time", unix.CAP_SYS_TTY_CONFIG: "sys_tty_config",
	unix.CAP_MKNOD: "mknod", unix.CAP_LEASE: "lease", unix.CAP_AUDIT_WRITE: "audit_write",
	unix.CAP_AUDIT_CONTROL: "audit_control", unix.CAP_SETFCAP: "setfcap", unix.CAP_MAC_OVERRIDE: "mac_override",
	unix.CAP_MAC_ADMIN: "mac_admin", unix.CAP_SYSLOG: "syslog", unix.CAP_WAKE_ALARM: "wake_alarm",
	unix.CAP_BLOCK_SUSPEND: "block_suspend", unix.CAP_AUDIT_READ: "audit_read", unix.CAP_PERFMON: "perfmon",
	unix.CAP_BPF: "bpf", unix.CAP_CHECKPOINT_RESTORE: "checkpoint_restore",
}

// CapabilityNames are the names of all capabilities that have one, by number.
func CapabilityNames() []string { return capabilities[:] }

// CapabilityName is the name of a capability, its number without one.
func CapabilityName(n int) string {
	if n < len(capabilities) {
		return capabilities[n]
	}
	return strconv.Itoa(n)
}

// CapLast is the highest capability that the kernel has (man 7 capabilities, /proc/sys/kernel/cap_last_cap).
func CapLast() (int, error) {
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// DropBounding takes a capability out of the bounding set of the calling thread, man 2 PR_CAPBSET_DROP.
func DropBounding(capability int) error {
	return unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0)
}
