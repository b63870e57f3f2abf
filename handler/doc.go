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
// [Run] is for processes that aem-exec made with handover = "direct". Any other program can be an agent, too: [Attach] asks a
// running supervisor for it, over the control socket, and what the program registers then is handled in [Agent.Keepalive], or
// in [Agent.Dispatch] from a loop of its own.
//
//	a, err := handler.Attach(ctx, "shop")
//	id, err := a.Register(ctx, "tick", map[string]any{"type": "timer", "every": "1s"}, tick)
//	err = a.Start(ctx, id)
//	signal, err := a.Keepalive(ctx)
//
// The package starts no supervisor, and reads no configuration.
package handler
