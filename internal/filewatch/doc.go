// Package filewatch tells what happens to the entries of directories: created, written, renamed, removed and the like,
// below a directory as deep as it goes, without missing what happens while a new directory is being taken in.
//
// # Flow
//
//  1. The reader, a goroutine, reads the kernel's records into buffers (inotify, man 7 inotify).
//  2. The owner, another, takes them in order. It alone has the tree: each watched directory with the entries that it is
//     known to have. A new directory is watched first and read then: what came in between is found by reading, and the
//     record of it, which comes later, says nothing new.
//  3. What a view asked for is reported in batches. The owner waits until a batch is taken; meanwhile the kernel keeps
//     what comes, up to fs.inotify.max_queued_events. When that is too little, everything is read again, and the
//     difference to what was known is reported.
//
// # Whole file systems
//
// Whole does without a tree and its watches: the kernel tells of all that is done on a file system, and by whom (fanotify, man 7
// fanotify). One goroutine reads the records, finds out where their directories are, and reports what views ask for. It knows
// nothing of what there is, so that what is lost stays lost, and is told as that.
//
// Both look at files, which may take as long as the file system likes: nobody waits for them.
// The package knows nothing of events, jobs or handlers.
package filewatch
