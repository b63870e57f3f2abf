package guest

import "path/filepath"

// The emulator is not the host's. In QEMU before 8.1 a processor may translate code that another one patches at that
// moment (QEMU's commit deba78709a): a kernel patches itself all the time, and then dies of a breakpoint of its own.
const (
	emulatorSuite   = "bookworm-backports"
	emulatorPackage = "qemu-system-x86"
)

// Emulator is a QEMU that runs from the folder where it was unpacked, on the libraries that came with it.
type Emulator struct {
	Version string // of its package
	root    string
}

// FetchEmulator gives the emulator, from the cache or from the mirror that the host uses.
func FetchEmulator() (*Emulator, error) {
	dir, version, err := FetchSystem(emulatorSuite, emulatorPackage)
	if err != nil {
		return nil, err
	}
	return &Emulator{version, filepath.Join(dir, "root")}, nil
}

// command is how it is started, and what it finds its modules by.
func (e *Emulator) command() (argv, env []string) {
	const libraries = "lib/x86_64-linux-gnu"
	at := func(path string) string { return filepath.Join(e.root, path) }
	argv = []string{
		at(libraries + "/ld-linux-x86-64.so.2"), "--library-path", at(libraries) + ":" + at("usr/"+libraries),
		at("usr/bin/qemu-system-x86_64"), "-L", at("usr/share/qemu"), "-L", at("usr/share/seabios"),
	}
	return argv, []string{"QEMU_MODULE_DIR=" + at("usr/"+libraries+"/qemu")}
}
