package models

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// LoadLightGBM reads a model in LightGBM's text format (save_model, model_to_string; headers v2 to
// v4). The file is not trusted: whatever is wrong in it is an error that names the line, and a variant
// that would be scored otherwise than by LightGBM itself is refused with ErrUnsupported.
func LoadLightGBM(data []byte, limits Limits) (Model, error) {
	return loadAs("a LightGBM", parseLightGBM, data, Options{Limits: limits})
}

func parseLightGBM(data []byte, limits Limits) (*forest, error) {
	p := &lightGBMParser{in: lineReader{rest: data}, limits: limits}
	return p.parse()
}

// maxTextBytes bounds what is kept of the file's own words: a name, the objective.
const maxTextBytes = 16 << 10

// maxPandasBytes bounds the lists of categories that are looked into.
const maxPandasBytes = 1 << 20

// lightGBMParser reads one file.
type lightGBMParser struct {
	in     lineReader
	limits Limits
	forest forest
}

func headerKeys() map[string]bool {
	return setOf("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective",
		"average_output", "feature_names", "monotone_constraints", "feature_infos", "tree_sizes")
}

func (p *lightGBMParser) parse() (*forest, error) {
	if line, _ := p.in.next(); string(line) != "tree" {
		return nil, fmt.Errorf("line 1: want %q, have %.40q: %w", "tree", line, errText)
	}
	header := &section{fields: map[string]field{}, line: 1}
	known := headerKeys()
	for {
		line, ok := p.in.next()
		if !ok {
			return nil, fmt.Errorf("line %d: the file ends in the header: %w", p.in.line, errText)
		}
		if first, done, err := p.headerLine(header, line, known); err != nil {
			return nil, err
		} else if done {
			if err := p.header(header); err != nil {
				return nil, fmt.Errorf("header: %w", err)
			}
			if err := p.trees(header, first); err != nil {
				return nil, err
			}
			return &p.forest, p.footer()
		}
	}
}

// headerLine takes a line of the header; done says that it is the first line behind it.
func (p *lightGBMParser) headerLine(h *section, line []byte, known map[string]bool) (first []byte, done bool, err error) {
	if len(line) == 0 {
		return nil, false, nil
	}
	if bytes.HasPrefix(line, []byte("Tree=")) || isEndOfTrees(line) {
		return line, true, nil
	}
	if err := h.add(line, p.in.line, known); err != nil {
		return nil, false, fmt.Errorf("header: %w", err)
	}
	return nil, false, nil
}

// isEndOfTrees knows the line behind the last tree; the oldest v2 files have only the second.
func isEndOfTrees(line []byte) bool {
	return string(line) == "end of trees" || string(line) == "feature importances:" || string(line) == "feature_importances:"
}

func (p *lightGBMParser) header(h *section) error {
	info := &p.forest.info
	info.Format, info.Boosting = FormatLightGBM, "gbdt"
	version, err := h.get("version")
	if err != nil {
		return err
	}
	info.FormatVersion = string(version.value)
	if v := info.FormatVersion; v != "v2" && v != "v3" && v != "v4" {
		return fmt.Errorf("line %d: version %.40q: %w", version.line, v, ErrUnsupported)
	}
	classes, err := h.integer("num_class", 1, int64(p.limits.MaxOutputs))
	if err != nil {
		return err
	}
	if info.Outputs, err = h.integer("num_tree_per_iteration", 1, int64(p.limits.MaxOutputs)); err != nil {
		return err
	}
	if info.Outputs != classes {
		return h.fields["num_class"].errorf("is %d with %d trees an iteration", classes, info.Outputs)
	}
	last, err := h.integer("max_feature_idx", 0, math.MaxInt32-1)
	if err != nil {
		return err
	}
	if last+1 > p.limits.MaxFeatures {
		return fmt.Errorf("line %d: %d features, MaxFeatures is %d: %w", h.fields["max_feature_idx"].line, last+1, p.limits.MaxFeatures, ErrLimit)
	}
	if err := p.features(h, last+1); err != nil {
		return err
	}
	if f, ok := h.fields["average_output"]; ok {
		if len(f.value) != 0 {
			return f.errorf("has a value: %.40q", f.value)
		}
		info.Averaged, info.Boosting = true, "rf"
	}
	p.forest.tinyIsZero = true // RowPairFunctionFromDenseMatric in LightGBM's src/c_api.cpp drops them
	return p.objective(h)
}

// features reads the names and ranges of the columns.
func (p *lightGBMParser) features(h *section, n int) error {
	if err := h.fits("feature_names", n); err != nil {
		return err
	}
	columns := make([]Feature, n)
	seen := make(map[string]bool, n)
	err := h.words("feature_names", n, func(i int, word []byte) bool {
		if len(word) > maxTextBytes {
			return false
		}
		columns[i] = Feature{Name: string(word), Min: math.NaN(), Max: math.NaN()}
		twice := seen[columns[i].Name]
		seen[columns[i].Name] = true
		return !twice
	})
	if err != nil {
		return err
	}
	p.forest.info.Features = columns
	if _, ok := h.fields["feature_infos"]; !ok {
		return nil
	}
	return h.words("feature_infos", n, func(i int, word []byte) bool { return featureRange(word, &columns[i]) })
}

// featureRange reads what feature_infos says of a column: "[min:max]", categories "a:b:c", or "none".
func featureRange(word []byte, f *Feature) bool {
	text := string(word)
	if text == "none" {
		return true
	}
	inner, numeric := strings.CutPrefix(text, "[")
	if numeric {
		low, high, ok := strings.Cut(strings.TrimSuffix(inner, "]"), ":")
		a, okA := parseFloat([]byte(low))
		b, okB := parseFloat([]byte(high))
		if !ok || !okA || !okB || !strings.HasSuffix(inner, "]") {
			return false
		}
		f.Min, f.Max = a, b
		return true
	}
	for part := range strings.SplitSeq(text, ":") {
		x, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return false
		}
		if v := float64(x); f.Min != f.Min {
			f.Min, f.Max = v, v
		} else {
			f.Min, f.Max = min(f.Min, v), max(f.Max, v)
		}
	}
	return true
}

// objective reads the objective line and finds the link that belongs to it.
func (p *lightGBMParser) objective(h *section) error {
	info := &p.forest.info
	p.forest.link = link{sigmoid: 1, divisor: 1}
	f, ok := h.fields["objective"]
	if !ok {
		return nil // a custom objective: the margins are all there is
	}
	if len(f.value) > maxTextBytes {
		return f.errorf("has %d bytes, at most %d", len(f.value), maxTextBytes)
	}
	info.Objective = string(f.value)
	l, err := lightGBMLink(f, info.Outputs)
	if err != nil {
		return err
	}
	p.forest.link = l
	info.Probability = l.probability()
	return nil
}

// trees reads trees until a line that is none; first is the line behind the header.
func (p *lightGBMParser) trees(h *section, first []byte) error {
	parser := &treeParser{features: len(p.forest.info.Features), nodesLeft: p.limits.MaxNodes, bytesLeft: p.limits.MaxBytes}
	known := treeKeys()
	line, ok := first, true
	for {
		for ok && len(line) == 0 {
			line, ok = p.in.next()
		}
		if !ok {
			return fmt.Errorf("line %d: the file ends without %q: it is truncated: %w", p.in.line, "end of trees", errText)
		}
		if isEndOfTrees(line) {
			break
		}
		n := len(p.forest.trees)
		if want := fmt.Sprintf("Tree=%d", n); string(line) != want {
			return fmt.Errorf("line %d: want %q, have %.40q: %w", p.in.line, want, line, errText)
		}
		if n >= p.limits.MaxTrees {
			return fmt.Errorf("line %d: more than MaxTrees (%d) trees: %w", p.in.line, p.limits.MaxTrees, ErrLimit)
		}
		s := &section{fields: map[string]field{}, line: p.in.line}
		for line, ok = p.in.next(); ok && len(line) > 0; line, ok = p.in.next() {
			if err := s.add(line, p.in.line, known); err != nil {
				return fmt.Errorf("tree %d: %w", n, err)
			}
		}
		p.forest.trees = append(p.forest.trees, tree{})
		if err := parser.tree(s, &p.forest.trees[n]); err != nil {
			return fmt.Errorf("tree %d: %w", n, err)
		}
	}
	return p.treeCount(h)
}

// treeCount checks the number of trees against what the header says of it.
func (p *lightGBMParser) treeCount(h *section) error {
	info := &p.forest.info
	n := len(p.forest.trees)
	if n%info.Outputs != 0 {
		return fmt.Errorf("line %d: %d trees are no multiple of %d outputs: %w", p.in.line, n, info.Outputs, errText)
	}
	if f, ok := h.fields["tree_sizes"]; ok {
		sizes := 0
		for range bytes.FieldsSeq(f.value) {
			sizes++
		}
		if sizes != n {
			return f.errorf("names %d trees, the file has %d", sizes, n)
		}
	}
	info.Trees, info.Iterations = n, n/info.Outputs
	if info.Averaged && info.Iterations > 0 {
		p.forest.link.divisor = float64(info.Iterations)
	}
	return nil
}

// footer reads what follows the trees: only what changes the meaning of the model.
func (p *lightGBMParser) footer() error {
	for line, ok := p.in.next(); ok; line, ok = p.in.next() {
		if rest, ok := bytes.CutPrefix(line, []byte("[boosting: ")); ok && !p.forest.info.Averaged && len(rest) <= maxTextBytes {
			p.forest.info.Boosting = string(bytes.TrimSuffix(rest, []byte("]")))
		}
		if rest, ok := bytes.CutPrefix(line, []byte("pandas_categorical:")); ok {
			if err := p.pandas(rest); err != nil {
				return err
			}
		}
	}
	return nil
}

// pandas refuses models that were trained on pandas' category columns, unless the categories are 0, 1, 2 and so on: LightGBM's Python
// package scores them by the position of a value in the training data's list, so other values would be scored as
// other categories, silently.
func (p *lightGBMParser) pandas(text []byte) error {
	text = bytes.TrimSpace(text)
	if string(text) == "null" {
		return nil
	}
	if !json.Valid(text) || text[0] != '[' {
		return fmt.Errorf("line %d: pandas_categorical is not a JSON list: %w", p.in.line, errText)
	}
	if !ownCodes(text) {
		return fmt.Errorf("line %d: pandas_categorical: columns were pandas categories; train on their integer codes instead: %w",
			p.in.line, ErrUnsupported)
	}
	return nil
}

// ownCodes says whether each list of categories is 0, 1, 2 and so on.
func ownCodes(lists []byte) bool {
	var columns [][]float64
	if len(lists) > maxPandasBytes || json.Unmarshal(lists, &columns) != nil {
		return false
	}
	for _, categories := range columns {
		for i, x := range categories {
			if x != float64(i) {
				return false
			}
		}
	}
	return true
}
