package models

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"pitboss/floats"
)

// assemble puts together what was read.
func (p *xgboostParser) assemble() (*forest, error) {
	info := Info{Format: FormatXGBoost, Objective: p.objective, Boosting: p.booster, BestIterations: p.stopped}
	if p.weights != nil {
		info.Boosting = "dart"
	}
	if len(p.version) != 3 {
		return nil, p.doc.errorf("version has %d parts, want 3", len(p.version))
	}
	info.FormatVersion = fmt.Sprintf("%d.%d.%d", p.version[0], p.version[1], p.version[2])
	major, minor := p.version[0], p.version[1]
	switch {
	case major < 1 || major == 1 && minor < 7:
		return nil, fmt.Errorf("version %s, which sums, or takes categories, otherwise than 1.7 and later: load it with one of those and save it again: %w",
			info.FormatVersion, ErrUnsupported)
	case major > 3:
		return nil, fmt.Errorf("version %s, known are 1.7 to 3: %w", info.FormatVersion, ErrUnsupported)
	case p.booster == "" || p.trees == nil:
		return nil, p.doc.errorf("no gradient_booster with a name and trees")
	case p.classes > 1 && p.targets > 1:
		return nil, fmt.Errorf("%d classes for each of %d targets: %w", p.classes, p.targets, ErrUnsupported)
	}
	info.Outputs = max(1, p.classes, p.targets)
	if info.Outputs > p.limits.MaxOutputs {
		return nil, fmt.Errorf("%d outputs, MaxOutputs is %d: %w", info.Outputs, p.limits.MaxOutputs, ErrLimit)
	}
	f := &forest{info: info, single: true, unnamed: len(p.names) == 0}
	if err := p.addFeatures(f); err != nil {
		return nil, err
	}
	if err := p.addObjective(f); err != nil {
		return nil, err
	}
	if err := p.weigh(); err != nil {
		return nil, err
	}
	return f, p.order(f)
}

// addFeatures names the columns; what has no name is called as in XGBoost's own dumps.
func (p *xgboostParser) addFeatures(f *forest) error {
	n := p.features
	if n > p.limits.MaxFeatures {
		return fmt.Errorf("%d features, MaxFeatures is %d: %w", n, p.limits.MaxFeatures, ErrLimit)
	}
	if n == 0 || len(p.names) != 0 && len(p.names) != n {
		return p.doc.errorf("%d features with %d names", n, len(p.names))
	}
	f.info.Features = make([]Feature, n)
	for i := range f.info.Features {
		name := "f" + strconv.Itoa(i)
		if len(p.names) > 0 {
			name = p.names[i]
		}
		f.info.Features[i] = Feature{Name: name, Min: math.NaN(), Max: math.NaN()}
	}
	for i := range p.trees {
		for j := range p.trees[i].splits {
			if s := &p.trees[i].splits[j]; int(s.feature) >= n {
				return p.doc.errorf("tree %d tests feature %d of %d", i, s.feature, n)
			}
		}
	}
	return nil
}

// weigh multiplies the leaves of dart by the weights of their trees, in float32 as XGBoost does.
func (p *xgboostParser) weigh() error {
	if p.weights == nil {
		if p.booster == "dart" {
			return p.doc.errorf("dart without weight_drop")
		}
		return nil
	}
	if len(p.weights) != len(p.trees) {
		return p.doc.errorf("weight_drop has %d values for %d trees", len(p.weights), len(p.trees))
	}
	for i, w := range p.weights {
		leaves := p.trees[i].leaves
		for j := range leaves {
			v := float64(float32(leaves[j]) * float32(w))
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return p.doc.errorf("tree %d: leaf %v with weight %v", i, leaves[j], w)
			}
			leaves[j] = v
		}
	}
	return nil
}

// order brings the trees into the order of the ensemble, one of each output in turn. Those of one output, whose sum is
// rounded at each step, keep theirs.
func (p *xgboostParser) order(f *forest) error {
	outputs := f.info.Outputs
	if len(p.outputOf) != len(p.trees) {
		return p.doc.errorf("tree_info has %d values for %d trees", len(p.outputOf), len(p.trees))
	}
	f.info.Trees = len(p.trees)
	f.info.Iterations = len(p.trees) / (outputs * p.parallel)
	if len(p.trees) != f.info.Iterations*outputs*p.parallel {
		return p.doc.errorf("%d trees are no whole number of rounds of %d outputs x %d parallel trees", len(p.trees), outputs, p.parallel)
	}
	f.trees = make([]tree, len(p.trees))
	next := make([]int, outputs)
	for k := range next {
		next[k] = k
	}
	for i, k := range p.outputOf {
		if int(k) >= outputs {
			return p.doc.errorf("tree_info value %d: %d with %d outputs", i, k, outputs)
		}
		if next[k] >= len(f.trees) {
			return p.doc.errorf("tree_info gives output %d more trees than others", k)
		}
		f.trees[next[k]] = p.trees[i]
		next[k] += outputs
	}
	return nil
}

// addObjective finds what the objective makes of margins, and the margin that the sums start from.
func (p *xgboostParser) addObjective(f *forest) error {
	scores, err := p.baseScores(f.info.Outputs)
	if err != nil {
		return err
	}
	f.link = link{sigmoid: 1, divisor: 1}
	var start func(float64) float64
	f.link.kind, start, err = xgboostLink(p.objective)
	if err != nil {
		return err
	}
	f.info.Probability = f.link.probability()
	f.start = make([]float64, len(scores))
	for k, b := range scores {
		if f.link.kind == linkLogistic && p.clampsBase() && b >= 0 && b <= 1 {
			b = min(max(b, float64(baseMargin)), float64(1-baseMargin))
		}
		f.start[k] = start(b)
		if math.IsNaN(f.start[k]) || math.IsInf(f.start[k], 0) {
			return p.doc.errorf("base_score %v has no margin with %s", b, p.objective)
		}
	}
	return nil
}

// baseMargin is how far from 0 and 1 XGBoost keeps base_score since 3.2 (kRtEps): a training set without a single positive has
// base_score 0 and a margin. 3.1 and before refuse to train there, and take 1e-7 as it is.
const baseMargin = float32(1e-6)

func (p *xgboostParser) clampsBase() bool {
	return len(p.version) >= 2 && (p.version[0] > 3 || p.version[0] == 3 && p.version[1] >= 2)
}

// baseScores reads base_score: a number, or since 3.1 a list of them in brackets, one for all outputs or one for each.
func (p *xgboostParser) baseScores(outputs int) ([]float64, error) {
	text := strings.TrimSpace(p.baseScore)
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	words := strings.Split(text, ",")
	if len(words) != 1 && len(words) != outputs {
		return nil, p.doc.errorf("base_score has %d values for %d outputs", len(words), outputs)
	}
	scores := make([]float64, outputs)
	for k := range scores {
		word := strings.TrimSpace(words[min(k, len(words)-1)])
		x, err := parseJSONNumber([]byte(word), 32)
		if err != nil {
			return nil, p.doc.errorf("base_score %.40q is no number", word)
		}
		scores[k] = x
	}
	return scores, nil
}

// xgboostLink is the objective's PredTransform, and its ProbToMargin for base_score (src/objective of XGBoost; measured
// with 1.7.6, 2.1.4, 3.2.0 and 3.4.1, for which they are the same but at the ends: see baseMargin).
func xgboostLink(objective string) (linkKind, func(float64) float64, error) {
	same := func(x float64) float64 { return x }
	switch objective {
	case "binary:logistic", "reg:logistic":
		return linkLogistic, logitSingle, nil
	case "binary:hinge":
		return linkStep, same, nil
	case "multi:softprob", "multi:softmax":
		return linkSoftmax, same, nil
	case "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft":
		return linkExp, logSingle, nil
	case "binary:logitraw", "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:absoluteerror", "reg:pseudohubererror",
		"reg:quantileerror", "rank:pairwise", "rank:ndcg", "rank:map":
		return linkIdentity, same, nil
	default:
		return 0, nil, fmt.Errorf("objective %.64q: %w", objective, ErrUnsupported)
	}
}

// logSingle is logf: the logarithm rounded to float32. XGBoost takes the C library's, which is off by the last bit for one
// number in a hundred, and not for the same ones on every machine.
func logSingle(x float64) float64 { return float64(float32(floats.Log(x))) }

// logitSingle is -logf(1/x - 1), in float32 throughout.
func logitSingle(x float64) float64 {
	return -logSingle(float64(1/float32(x) - 1))
}
