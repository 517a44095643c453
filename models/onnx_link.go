package models

import (
	"math"

	"pitboss/floats"
)

// graphLink is what an ONNX graph makes of margins. It computes in float64, so that scores are within float32's rounding of the
// runtime's own.
type graphLink struct {
	steps       [][]scalar // by output
	across      acrossKind
	probability bool // the scores are in [0,1], but for rounding, which is taken off
}

func (l *graphLink) apply(margins, scores []float64) {
	for k, x := range margins {
		scores[k] = through(l.steps[k], x)
	}
	switch l.across {
	case acrossSoftmax:
		link{divisor: 1}.softmax(scores, scores)
	case acrossSoftmaxZero:
		softmaxZero(scores)
	case acrossMax, acrossL1, acrossL2:
		normalize(l.across, scores)
	case acrossNone:
	}
	if l.probability {
		for k, x := range scores {
			scores[k] = min(max(x, 0), 1)
		}
	}
}

// softmaxZero is ComputeSoftmaxZero of ONNX Runtime's ml_common.h: what is zero stays zero.
func softmaxZero(scores []float64) {
	top := scores[0]
	for _, x := range scores {
		top = max(top, x)
	}
	sum := 0.0
	for k, x := range scores {
		if x > 0.0000001 || x < -0.0000001 {
			scores[k] = floats.Exp(x - top)
			sum += scores[k]
		} else {
			scores[k] = float64(x * floats.Exp(-top))
		}
	}
	for k := range scores {
		scores[k] /= sum
	}
}

// normalize divides by a norm, unless it is zero (ONNX Runtime's normalizer.cc).
func normalize(kind acrossKind, scores []float64) {
	norm := 0.0
	switch kind {
	case acrossMax:
		norm = scores[0]
		for _, x := range scores {
			norm = max(norm, x)
		}
	case acrossL1:
		for _, x := range scores {
			norm += math.Abs(x)
		}
	default:
		for _, x := range scores {
			norm += float64(x * x)
		}
		norm = math.Sqrt(norm)
	}
	if norm == 0 {
		return
	}
	for k := range scores {
		scores[k] /= norm
	}
}
