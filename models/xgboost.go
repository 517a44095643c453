package models

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// LoadXGBoost reads a model that XGBoost 1.7 to 3.x saved as JSON or UBJSON (save_model, by the file's name), with the
// boosters gbtree and dart. The file is not trusted: whatever is wrong in it is an error that names the byte or the tree,
// and a variant that would be scored otherwise than by XGBoost itself is refused with ErrUnsupported.
//
// All trees are scored, as Booster.predict does; Info.BestIterations says where early stopping would have cut.
func LoadXGBoost(data []byte, limits Limits) (Model, error) {
	return loadAs("an XGBoost", parseXGBoost, data, Options{Limits: limits})
}

func parseXGBoost(data []byte, limits Limits) (*forest, error) {
	return newXGBoostParser(data, limits).parse()
}

// isUBJ tells UBJSON from JSON by what stands behind the opening brace.
func isUBJ(data []byte) bool {
	return len(data) > 1 && data[0] == '{' && strings.IndexByte("iUIlL$#N", data[1]) >= 0
}

// xgboostParser reads one file. Keys come in any order, so that everything is put together at the end.
type xgboostParser struct {
	doc    document
	limits Limits
	tree   xgboostTree

	version            []int32
	features           int
	classes, targets   int
	baseScore          string
	objective, booster string
	names              []string
	trees              []tree
	outputOf           []int32 // by tree
	weights            []float64
	parallel, stopped  int
	learner            bool
}

func newXGBoostParser(data []byte, limits Limits) *xgboostParser {
	p := &xgboostParser{limits: limits, parallel: 1}
	if isUBJ(data) {
		p.doc = &ubjDocument{data: data}
	} else {
		p.doc = &jsonDocument{data: data}
	}
	p.tree = xgboostTree{doc: p.doc, nodesLeft: limits.MaxNodes, bytesLeft: limits.MaxBytes}
	return p
}

func (p *xgboostParser) parse() (*forest, error) {
	err := members(p.doc, "the file", map[string]func() error{
		"learner": p.readLearner,
		"version": func() (err error) {
			p.version, err = integers(p.doc, nil, 3, 0, 1000)
			return err
		},
		"Config": nil, // what was set for training, in files of memory snapshots
	})
	if err != nil {
		return nil, err
	}
	if err := p.doc.end(); err != nil {
		return nil, err
	}
	if !p.learner {
		return nil, p.doc.errorf("no member %q: not a model of XGBoost", "learner")
	}
	return p.assemble()
}

func (p *xgboostParser) readLearner() error {
	p.learner = true
	return members(p.doc, "learner", map[string]func() error{
		"attributes":          p.readAttributes,
		"feature_names":       p.readNames,
		"feature_types":       nil, // splits say themselves what they are
		"gradient_booster":    p.readBooster,
		"learner_model_param": p.readParameters,
		"objective": func() error {
			return p.doc.object(func(key string) (err error) {
				if key != "name" {
					return skip(p.doc)
				}
				p.objective, err = p.doc.text()
				return err
			})
		},
	})
}

// readAttributes looks for early stopping; all others are the user's own.
func (p *xgboostParser) readAttributes() error {
	return p.doc.object(func(key string) error {
		if key != "best_iteration" {
			return skip(p.doc)
		}
		n, err := p.textInteger(math.MaxInt32 - 1)
		p.stopped = n + 1
		return err
	})
}

func (p *xgboostParser) readNames() error {
	seen := map[string]bool{}
	return p.doc.array(func(i int) error {
		if i >= p.limits.MaxFeatures {
			return fmt.Errorf("more than %d names: %w", p.limits.MaxFeatures, ErrLimit)
		}
		name, err := p.doc.text()
		if err != nil {
			return err
		}
		if name == "" || len(name) > maxTextBytes || seen[name] {
			return p.doc.errorf("name %d is empty, too long or there twice: %.64q", i, name)
		}
		seen[name] = true
		p.names = append(p.names, name)
		return nil
	})
}

func (p *xgboostParser) readParameters() error {
	integer := func(to *int, high int) func() error {
		return func() (err error) {
			*to, err = p.textInteger(high)
			return err
		}
	}
	return members(p.doc, "learner_model_param", map[string]func() error{
		"base_score": func() (err error) {
			p.baseScore, err = p.doc.text()
			return err
		},
		"boost_from_average": nil, // it has happened
		"num_class":          integer(&p.classes, math.MaxInt32),
		"num_feature":        integer(&p.features, math.MaxInt32),
		"num_target":         integer(&p.targets, math.MaxInt32),
	})
}

// textInteger reads an integer that stands in a string, as parameters do.
func (p *xgboostParser) textInteger(high int) (int, error) {
	s, err := p.doc.text()
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > high {
		return 0, p.doc.errorf("%.40q is no integer from 0 to %d", s, high)
	}
	return n, nil
}

// readBooster reads a gradient_booster. That of dart was one of its own around gbtree's up to 3.2.
func (p *xgboostParser) readBooster() error {
	return members(p.doc, "gradient_booster", map[string]func() error{
		"gbtree": func() error {
			if p.booster != "" || p.trees != nil {
				return p.doc.errorf("more than one booster")
			}
			return p.readBooster()
		},
		"model": p.readModel,
		"name": func() error {
			name, err := p.doc.text()
			switch {
			case err != nil:
				return err
			case name == "gblinear":
				return errLinearBooster
			case name != "gbtree" && name != "dart":
				return fmt.Errorf("booster %.40q: %w", name, ErrUnsupported)
			case p.booster != "dart": // the outer name counts, wherever it stands
				p.booster = name
			}
			return nil
		},
		"weight_drop": p.readWeights,
	})
}

func (p *xgboostParser) readWeights() (err error) {
	if p.weights != nil {
		return p.doc.errorf("stands there twice")
	}
	p.weights, err = numbers(p.doc, []float64{}, 32, p.limits.MaxTrees)
	return err
}

func (p *xgboostParser) readModel() error {
	if p.trees != nil {
		return p.doc.errorf("more than one model")
	}
	return members(p.doc, "model", map[string]func() error{
		"boosted_rounds": func() error { return errLinearBooster },
		"weights":        func() error { return errLinearBooster },
		"cats":           p.readCategories,
		"gbtree_model_param": func() error {
			return members(p.doc, "gbtree_model_param", map[string]func() error{
				"num_parallel_tree": func() (err error) {
					p.parallel, err = p.textInteger(p.limits.MaxTrees)
					p.parallel = max(1, p.parallel)
					return err
				},
				"num_trees":        nil, // counted
				"size_leaf_vector": func() error { return scalarLeaves(p) },
			})
		},
		"iteration_indptr": nil, // trees of a round stand together anyway
		"tree_info": func() (err error) {
			p.outputOf, err = integers(p.doc, nil, p.limits.MaxTrees, 0, float64(p.limits.MaxOutputs)-1)
			return err
		},
		"trees":       p.readTrees,
		"weight_drop": p.readWeights,
	})
}

var (
	errLinearBooster = fmt.Errorf("the booster gblinear: %w", ErrUnsupported)
	errVectorLeaf    = fmt.Errorf("leaves of several values (multi_strategy=multi_output_tree): %w", ErrUnsupported)
)

// scalarLeaves reads a size_leaf_vector and refuses leaves of many values (multi_strategy=multi_output_tree).
func scalarLeaves(p *xgboostParser) error {
	n, err := p.textInteger(math.MaxInt32)
	if err == nil && n > 1 {
		err = errVectorLeaf
	}
	return err
}

// errNamed is what names of categories are refused with: XGBoost translates them to codes by itself when it predicts for a data
// frame, and a row here holds the codes.
var errNamed = fmt.Errorf("trained on a data frame with named categories (cats): train on their integer codes: %w", ErrUnsupported)

// readCategories refuses categories that are not their own codes.
func (p *xgboostParser) readCategories() error {
	return p.doc.object(func(key string) error {
		if key != "enc" {
			return skip(p.doc)
		}
		return p.doc.array(func(int) error {
			return members(p.doc, "enc", map[string]func() error{
				"offsets": func() error { return p.doc.array(func(int) error { return errNamed }) },
				"type":    nil,
				"values": func() error {
					return p.doc.array(func(i int) error {
						if x, err := p.doc.number(64); err != nil || x != float64(i) {
							return errNamed
						}
						return nil
					})
				},
			})
		})
	})
}

func (p *xgboostParser) readTrees() error {
	p.trees = []tree{}
	return p.doc.array(func(i int) error {
		if i >= p.limits.MaxTrees {
			return fmt.Errorf("more than %d trees: %w", p.limits.MaxTrees, ErrLimit)
		}
		t, err := p.tree.read()
		if err != nil {
			return fmt.Errorf("tree %d: %w", i, err)
		}
		p.trees = append(p.trees, t)
		return nil
	})
}
