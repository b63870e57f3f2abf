package executor

import (
	"context"

	"github.com/aem-exec/aem-exec/aem"
)

// Function is a handler written in Go and run inside the supervisor, as a callback on the loop or on a thread of its
// own. Its event is valid until it returns. A nil error is done; an error made by aem.Fail is failed for good, one
// made by aem.After is tried again later, every other is tried again by the handler's backoff.
type Function func(ctx context.Context, e *aem.Event) error
