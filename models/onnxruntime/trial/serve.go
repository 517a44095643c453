package trial

import (
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"pitboss/models/onnxruntime"
)

// Serve is the other process: it reads one request, takes the limits upon itself, has ONNX Runtime open and run the graph, and
// writes what came of it.
func Serve(in io.Reader, out io.Writer) error {
	var q request
	if err := gob.NewDecoder(in).Decode(&q); err != nil {
		return fmt.Errorf("cannot read a request: %w", err)
	}
	// Who asked ends this process in time, unless it ended itself meanwhile.
	time.AfterFunc(q.Timeout+5*time.Second, func() { os.Exit(1) })
	runtime.LockOSThread() // ONNX Runtime computes on this thread, which has the priority
	if err := takeLimits(q.MaxBytes); err != nil {
		return fmt.Errorf("cannot take the limits of a trial: %w", err)
	}
	a := answer{Tried: true}
	err := onnxruntime.Try(q.Data, onnxruntime.Config{Library: q.Library, MaxTensorBytes: q.MaxTensorBytes}, q.Options, q.Rows)
	if err != nil {
		a.Error = fmt.Sprintf("%.4096s", err.Error())
	}
	for name, kind := range kinds {
		if errors.Is(err, kind) {
			a.Kind = name
		}
	}
	if err = json.NewEncoder(out).Encode(a); err != nil {
		return fmt.Errorf("cannot answer: %w", err)
	}
	return nil
}
