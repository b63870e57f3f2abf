// Package handler is what a handler program in Go imports: Run gives it one event after the other.
//
//	func main() {
//		handler.Run(func(ctx context.Context, e *handler.Event) error {
//			_, err := os.Stdout.Write(e.Data)
//			return err
//		})
//	}
//
// The event's data is complete in the program's memory before the function is called. What the function returns is the
// event's fate: nil is done, an error is tried again, [Fail] is not, [After] is tried again later. A panic ends the
// process, and so the attempt. [Event.Reply] sends data back.
//
// The package runs inside aem-exec only, in a process that it made with handover = "direct". It registers no events,
// reads no configuration and does not talk to the control socket.
package handler
