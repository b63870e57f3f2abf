package handler

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// confine installs the second filter, if the supervisor gave one, on all threads. From here on the process may call what
// that filter, too, lets pass.
func confine(inbox *directcopy.Inbox) error {
	word, given := os.LookupEnv("AEM_FILTER")
	if !given {
		return nil
	}
	flags, err := strconv.ParseUint(word, 10, 32)
	if err != nil {
		return fmt.Errorf("install second filter: AEM_FILTER: %w", err)
	}
	program, err := readFilter(directcopy.FilterDescriptor)
	if err == nil {
		err = sys.SeccompFilter(program, uint32(flags)|sys.SECCOMP_FILTER_FLAG_TSYNC)
	}
	if err != nil {
		return fmt.Errorf("install second filter: %w", err)
	}
	inbox.Filtered()
	return nil
}

// readFilter reads struct sock_filter, one after the other (linux/filter.h), and closes the file. Other handlers have the
// same file, and so its offset: it is not used.
func readFilter(fd int) ([]sys.SockFilter, error) {
	defer syscall.Close(fd)
	const size = 8
	text := make([]byte, (sys.BPF_MAXINSNS+1)*size)
	n, err := syscall.Pread(fd, text, 0)
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}
	if n == 0 || n%size != 0 || n == len(text) {
		return nil, fmt.Errorf("read it: %d bytes are no filter", n)
	}
	native := binary.NativeEndian
	program := make([]sys.SockFilter, n/size)
	for i := range program {
		b := text[i*size:]
		program[i] = sys.SockFilter{Code: native.Uint16(b), JT: b[2], JF: b[3], K: native.Uint32(b[4:])}
	}
	return program, nil
}
