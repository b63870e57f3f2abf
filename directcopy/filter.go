package directcopy

import (
	"strconv"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// FilterDescriptor is the number that the file of the second filter has in the handler.
const FilterDescriptor = 8

// Filter is a second system call filter, which the handler installs on all of its threads before it says hello.
type Filter struct {
	File  int    // sealed: struct sock_filter, one after the other; stays the caller's
	Flags uint32 // SECCOMP_FILTER_FLAG_*, beside TSYNC
}

// environment is where the handler learns of a filter.
func (f *Filter) environment() []string {
	if f == nil {
		return nil
	}
	return []string{"AEM_FILTER=" + strconv.FormatUint(uint64(f.Flags), 10)}
}

// addFilter puts the file among what the handler inherits.
func (m *Mailbox) addFilter(f *Filter) error {
	file, err := sys.Dup(f.File, 0)
	if err != nil {
		return err
	}
	for len(m.handler) < FilterDescriptor-FirstDescriptor {
		m.handler = append(m.handler, -1)
	}
	m.handler, m.filtered = append(m.handler, file), true
	return nil
}

// Filtered has the hello say that the second filter is installed.
func (b *Inbox) Filtered() { b.flags |= flagFiltered }
