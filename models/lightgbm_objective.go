package models

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// lightGBMLink finds what an objective line, such as "binary sigmoid:0.7", makes of margins
// (ConvertOutput of the classes in LightGBM's src/objective).
func lightGBMLink(f field, outputs int) (link, error) {
	words := strings.Fields(string(f.value))
	if len(words) == 0 {
		return link{}, f.errorf("is empty")
	}
	l := link{sigmoid: 1, divisor: 1}
	sqrt := false
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, ":")
		switch key {
		case "sqrt":
			sqrt = true
		case "sigmoid":
			x, ok := parseFloat([]byte(value))
			if !ok || !(x > 0) || math.IsInf(x, 0) {
				return l, f.errorf("has a sigmoid that is no positive number: %.40q", value)
			}
			l.sigmoid = x
		case "num_class":
			if n, err := strconv.Atoi(value); err != nil || n != outputs {
				return l, f.errorf("has num_class %.40q with %d outputs", value, outputs)
			}
		}
	}
	var err error
	l.kind, err = lightGBMLinkKind(f, words[0], sqrt)
	if err != nil {
		return l, err
	}
	many := words[0] == "multiclass" || words[0] == "multiclassova"
	if !many && outputs != 1 {
		return l, f.errorf("has %d outputs", outputs)
	}
	return l, nil
}

func lightGBMLinkKind(f field, name string, sqrt bool) (linkKind, error) {
	if sqrt {
		switch name {
		case "regression", "regression_l1", "fair", "quantile", "mape":
			return linkSignedSquare, nil
		default:
			return 0, fmt.Errorf("line %d: objective %.40q with sqrt: %w", f.line, name, ErrUnsupported)
		}
	}
	switch name {
	case "binary", "cross_entropy", "xentropy", "multiclassova":
		return linkLogistic, nil
	case "multiclass":
		return linkSoftmax, nil
	case "cross_entropy_lambda", "xentlambda":
		return linkLogExp, nil
	case "poisson", "gamma", "tweedie":
		return linkExp, nil
	case "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg":
		return linkIdentity, nil
	default:
		return 0, fmt.Errorf("line %d: objective %.40q: %w", f.line, name, ErrUnsupported)
	}
}
