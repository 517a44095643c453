package main

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pitboss/models"
)

func newModelInspectCmd() *cobra.Command {
	var reference, library string
	cmd := &cobra.Command{
		Use:   "inspect MODEL [--reference sample.csv]",
		Short: "What a model file holds, what it costs to score, and which features matter to it",
		Long: `Says of a model file its format, objective, size and price, whether it explains its scores, and what each feature is
worth to it: its splits, what they gained in training (all together, and as a part of all gain), and how much of the training
data they saw on average (rows in LightGBM, hessians in XGBoost, nothing in ONNX). A file that cannot be served ends with what is in its way.

Of an ONNX graph that pitboss does not read by itself: its inputs, outputs and operators, and what ONNX Runtime would make of
it, where that is to be had.

Gain is what training saw. What moved one score is in model score --contrib.`,
		Example: "  pitboss model inspect model.ubj",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := models.ReadFile(args[0], models.DefaultLimits())
			if err != nil {
				return err // it names the file
			}
			model, err := loadNative(data, reference)
			if errors.Is(err, models.ErrUnsupported) && isONNX(data) {
				return inspectGraph(data, args[0], err, findLibrary(library), cmd.OutOrStdout())
			}
			if err != nil {
				return fmt.Errorf("model %q: %w", args[0], err)
			}
			return inspectModel(model.Info(), args[0], cmd.OutOrStdout())
		},
	}
	addReferenceFlag(cmd, &reference)
	cmd.Flags().StringVar(&library, "onnxruntime", "", "ONNX Runtime's shared library; default: PITBOSS_ONNXRUNTIME, or beside pitboss")
	return cmd
}

func inspectModel(info *models.Info, name string, out io.Writer) error {
	fmt.Fprintf(out, "%s: %s %s, %s\n", printable(name), info.Format, printable(info.FormatVersion), printable(info.Boosting))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	line("sha256", "%s", hex.EncodeToString(info.Hash[:]))
	line("objective", "%s", objectiveText(info))
	line("trees", "%d in %d iterations, %d outputs%s", info.Trees, info.Iterations, info.Outputs, stoppingText(info))
	line("nodes", "%d splits and %d leaves; at most %d splits deep, %d different features on a way down",
		info.Nodes, info.Leaves, info.MaxDepth, info.MaxPathFeatures)
	line("contributions", "%s", explainText(info))
	line("price", "about %.1f us to score a row, %.1f KB in memory", info.Cost.PredictMicros, float64(info.Bytes)/1e3)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return writeImportances(info, out)
}

func objectiveText(info *models.Info) string {
	switch {
	case info.Objective == "":
		return "none: scores are margins"
	case info.Probability:
		return printable(info.Objective) + ": scores are probabilities"
	default:
		return printable(info.Objective) + ": scores are no probabilities"
	}
}

// stoppingText warns of what the library's own wrappers may leave away.
func stoppingText(info *models.Info) string {
	if info.BestIterations == 0 || info.BestIterations == info.Iterations {
		return ""
	}
	return fmt.Sprintf("; early stopping found %d iterations best, and all are scored", info.BestIterations)
}

func explainText(info *models.Info) string {
	if info.Unexplainable != "" {
		return "none: " + printable(info.Unexplainable)
	}
	base := make([]string, len(info.Base))
	for k, b := range info.Base {
		base[k] = strconv.FormatFloat(b, 'g', 6, 64)
	}
	by := ""
	if info.Reference > 0 {
		by = fmt.Sprintf(" over %d rows of the reference sample", info.Reference)
	}
	return fmt.Sprintf("exact, from base %s%s; about %.1f us a row", strings.Join(base, ", "), by, info.Cost.ExplainMicros)
}

// writeImportances lists the features that the model tests, the most valuable first, and names the others.
func writeImportances(info *models.Info, out io.Writer) error {
	var used []models.Feature
	var unused []string
	total := 0.0
	for _, f := range info.Features {
		if f.Splits == 0 {
			unused = append(unused, printable(f.Name))
			continue
		}
		used = append(used, f)
		total += f.Gain
	}
	slices.SortStableFunc(used, func(a, b models.Feature) int {
		return cmp.Or(cmp.Compare(b.Gain, a.Gain), cmp.Compare(b.Splits, a.Splits))
	})
	fmt.Fprintln(out)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "splits\tgain\tof all gain\tmean cover\t  feature")
	for _, f := range used {
		name := printable(f.Name)
		if f.Categorical {
			name += " (categories)"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t  %s\n", f.Splits, figure(f.Gain), percent(f.Gain/total), figure(f.Cover/float64(f.Splits)), name)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	if len(unused) > 0 {
		fmt.Fprintf(out, "\nnever tested: %d of %d features: %s\n", len(unused), len(info.Features), strings.Join(unused, ", "))
	}
	return nil
}

// figure writes four digits, or that the file does not tell.
func figure(x float64) string {
	if math.IsNaN(x) {
		return "unknown"
	}
	return strconv.FormatFloat(x, 'g', 4, 64)
}

func percent(x float64) string {
	if math.IsNaN(x) {
		return "unknown"
	}
	return strconv.FormatFloat(100*x, 'f', 1, 64) + " %"
}
