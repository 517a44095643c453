// Package trial tries a graph in a process of its own before this one runs it: ONNX Runtime is C++, and a file that makes it
// fault, loop or take all memory ends the process that it is in.
//
// It is a [Config.Try] for onnxruntime.Config, and what the other process does: [Serve]. It does not remember what
// passed (package registry does), and finds nothing that only shows on rows which nobody tried (docs/decisions/020): those of
// a bundle's golden file are tried too.
// Start reading at [Config.Try].
package trial

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
	"unicode"

	"pitboss/models"
	"pitboss/models/onnxruntime"
)

// ErrFailed says that the process in which a graph was tried did not come back from it. The graph is not loaded.
var ErrFailed = errors.New("the trial of the graph failed")

// DefaultTimeout is 30 s, DefaultMaxBytes 2 GiB.
const (
	DefaultTimeout  = 30 * time.Second
	DefaultMaxBytes = 2 << 30
)

// Config is how graphs are tried.
type Config struct {
	// Command is the program, with its arguments, that calls Serve with its standard input and output. Needed.
	Command []string
	// Timeout is how long a trial may take. Default DefaultTimeout.
	Timeout time.Duration
	// MaxBytes is how much memory the other process may take from when it has read the graph; on Linux alone. Default
	// DefaultMaxBytes, which is far above what a graph needs that scores in milliseconds.
	MaxBytes int64
}

// request is what the other process reads, as gob.
type request struct {
	Library        string
	MaxTensorBytes int64
	Options        onnxruntime.Options
	Timeout        time.Duration
	MaxBytes       int64
	Data           []byte
	Rows           [][]float64
}

// answer is what it writes, as JSON. Kind says which error Error wraps.
type answer struct {
	Tried bool   `json:"tried"`
	Error string `json:"error"`
	Kind  string `json:"kind"`
}

// kinds are the errors whose callers tell them apart.
var kinds = map[string]error{
	"unsupported": models.ErrUnsupported, "limit": models.ErrLimit, "row": models.ErrRow, "library": onnxruntime.ErrLibrary,
}

// refusal is an error of the other process: its words, and what it was.
type refusal struct {
	text string
	kind error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.kind }

// Try has the graph opened and run on a few rows by a new process without this one's environment, and ends that process when
// it takes too long. What the graph is refused for there is the error here; where the process dies, that is ErrFailed
// with the signal, the graph's hash and what to do.
func (c Config) Try(g onnxruntime.Candidate) error {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	var in bytes.Buffer
	err := gob.NewEncoder(&in).Encode(request{g.Config.Library, g.Config.MaxTensorBytes, g.Options, c.Timeout, c.MaxBytes, g.Data, g.Rows})
	if err != nil {
		return fmt.Errorf("cannot ask for a trial: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	var out, words beginning
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...) //nolint:gosec // the configuration's own program
	cmd.Env, cmd.Dir, cmd.WaitDelay = environment(), os.TempDir(), time.Second
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &words
	if err = cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the process that tries the graph: %w", err)
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return c.failed(g, fmt.Sprintf("it was not done after %v", c.Timeout))
	case err != nil:
		return c.failed(g, causeOf(err, string(words)))
	}
	var a answer
	if err = json.Unmarshal(out, &a); err != nil || !a.Tried {
		return c.failed(g, "it ended without an answer")
	}
	if a.Error == "" {
		return nil
	}
	if noMemory.MatchString(a.Error) {
		a.Error += fmt.Sprintf(" (its trial may take %d MiB: onnxruntime.max_trial_bytes)", c.MaxBytes>>20)
	}
	return &refusal{a.Error, kinds[a.Kind]}
}

// noMemory is how ONNX Runtime says that the process has no more.
var noMemory = regexp.MustCompile(`bad_alloc|Failed to allocate memory`)

// environment is what the other process may know: nothing but where the linker looks.
func environment() []string {
	env := []string{"GOTRACEBACK=none", "MALLOC_ARENA_MAX=1"}
	for _, name := range []string{"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func (c Config) failed(g onnxruntime.Candidate, cause string) error {
	return fmt.Errorf("%w: ONNX Runtime %s was given it in a process of its own, with %v and %d MiB of memory, and %s. "+
		"It was not loaded here (SHA-256 of the file: %x). Export the model anew and check it (onnx.checker); if you trust it, give it more time or memory "+
		"(onnxruntime.max_trial, onnxruntime.max_trial_bytes) or take another version of the library",
		ErrFailed, g.Version, c.Timeout, c.MaxBytes>>20, cause, g.Hash)
}

// signalName is how Go's runtime begins to say which signal ended a process, when C++ was to blame.
var signalName = regexp.MustCompile(`SIG[A-Z]+: [a-z -]+`)

// causeOf says how the process ended: by which signal, whose name Go's runtime writes before it exits by itself, and what was
// said last.
func causeOf(err error, words string) string {
	cause := "ended with " + err.Error()
	if at := signalName.FindStringIndex(words); at != nil {
		cause = "was ended by " + strings.TrimSpace(words[at[0]:at[1]])
		words = words[:at[0]] // what follows are addresses
	}
	words = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, words)
	if words = strings.TrimSpace(words); words == "" {
		return cause
	}
	return fmt.Sprintf("%s (it said %.200q)", cause, words)
}

// maxWords bounds what is kept of either output of the other process.
const maxWords = 64 << 10

// beginning keeps the first bytes of what is written to it.
type beginning []byte

func (b *beginning) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), maxWords-len(*b))]...)
	return len(p), nil
}
