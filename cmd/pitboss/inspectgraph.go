package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"pitboss/models"
	"pitboss/models/onnxruntime"
)

// inspectGraph describes an ONNX graph that is not read natively, for the reason native.
func inspectGraph(data []byte, name string, native error, library string, out io.Writer) error {
	g, err := onnxruntime.Inspect(data, models.DefaultLimits())
	if err != nil {
		return fmt.Errorf("model %q: %w", name, err)
	}
	fmt.Fprintf(out, "%s: onnx, written by %s\n", printable(name), printable(orUnknown(g.Producer)))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	line("sha256", "%x", sha256.Sum256(data))
	for i, set := range g.Opsets {
		line(onlyFirst(i, "operators of"), "%s %d", printable(set.Domain), set.Version)
	}
	describeValues(line, "inputs", g.Inputs)
	describeValues(line, "outputs", g.Outputs)
	line("weights", "%d constants, %.1f KB", g.Weights, float64(g.WeightBytes)/1e3)
	var ops []string
	for _, op := range g.Ops {
		ops = append(ops, fmt.Sprintf("%s x%d", op.Op, op.Count))
	}
	line("nodes", "%d: %s", g.Nodes, printable(strings.Join(ops, ", ")))
	line("native", "no: %s", printable(native.Error()))
	m, err := loadGraph(data, library)
	switch {
	case err == nil:
		info := m.Info()
		line("onnxruntime", "yes, %s: %d features, %d outputs", strings.TrimPrefix(info.Backend, "onnxruntime "), len(info.Features), info.Outputs)
		line("objective", "%s", objectiveText(info))
		line("contributions", "%s", explainText(info))
		line("price", "about %.1f us to score a row, as measured now", info.Cost.PredictMicros)
	case errors.Is(err, onnxruntime.ErrLibrary):
		line("onnxruntime", "not tried: %s", printable(err.Error()))
	default:
		line("onnxruntime", "no: %s", printable(err.Error()))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return nil
}

// describeValues lists inputs or outputs, the first few by name.
func describeValues(line func(string, string, ...any), what string, values []onnxruntime.Value) {
	const shown = 10
	for i, v := range values {
		if i == shown {
			line("", "and %d more", len(values)-shown)
			return
		}
		line(onlyFirst(i, what), "%s: %s%s", printable(v.Name), v.Type, shapeText(v.Dims))
	}
}

func onlyFirst(i int, what string) string {
	if i == 0 {
		return what
	}
	return ""
}

// shapeText writes dimensions as [any, 5]; nothing where there are none.
func shapeText(dims []int64) string {
	if dims == nil {
		return ""
	}
	texts := make([]string, len(dims))
	for i, d := range dims {
		texts[i] = "any"
		if d >= 0 {
			texts[i] = strconv.FormatInt(d, 10)
		}
	}
	return " [" + strings.Join(texts, ", ") + "]"
}

func orUnknown(text string) string {
	if text == "" {
		return "an unknown tool"
	}
	return text
}
