package restjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	kubejson "sigs.k8s.io/json"
)

// kubernetesObject is a Go type of Kubernetes: it knows its JSON by its tags
// and the encoding that our generated types share with it by these methods.
type kubernetesObject interface {
	Marshal() ([]byte, error)
	Unmarshal(data []byte) error
}

// kubernetesForms has every Kubernetes message that a message of ours names;
// what is inside them belongs to them.
var kubernetesForms = map[protoreflect.FullName]special{
	"k8s.io.api.core.v1.ConfigMap":                  kubernetes[corev1.ConfigMap](),
	"k8s.io.api.core.v1.PodLogOptions":              kubernetes[corev1.PodLogOptions](),
	"k8s.io.api.core.v1.PodSpec":                    kubernetes[corev1.PodSpec](),
	"k8s.io.api.core.v1.ResourceRequirements":       kubernetes[corev1.ResourceRequirements](),
	"k8s.io.api.core.v1.Service":                    kubernetes[corev1.Service](),
	"k8s.io.api.core.v1.ServiceSpec":                kubernetes[corev1.ServiceSpec](),
	"k8s.io.api.core.v1.Taint":                      kubernetes[corev1.Taint](),
	"k8s.io.api.networking.v1.Ingress":              kubernetes[networkingv1.Ingress](),
	"k8s.io.api.networking.v1.IngressSpec":          kubernetes[networkingv1.IngressSpec](),
	"k8s.io.apimachinery.pkg.api.resource.Quantity": quantityForm{kubernetes[resource.Quantity]()},
}

func kubernetes[T any, P interface {
	*T
	kubernetesObject
}]() special {
	return kubernetesForm{func() kubernetesObject { return P(new(T)) }}
}

// kubernetesForm is the form of a message that has a Go type in Kubernetes.
type kubernetesForm struct {
	empty func() kubernetesObject
}

func (f kubernetesForm) decode(d *decoder, raw []byte, m protoreflect.Message) error {
	object := f.empty()
	if err := d.kubernetes(raw, object); err != nil {
		return err
	}
	encoded, err := object.Marshal()
	if err != nil {
		return d.fail(fmt.Errorf("cannot be encoded: %w", err))
	}
	if err := proto.Unmarshal(encoded, m.Interface()); err != nil {
		return d.fail(fmt.Errorf("cannot be encoded: %w", err))
	}
	return nil
}

func (f kubernetesForm) encode(b []byte, m protoreflect.Message) ([]byte, error) {
	encoded, err := proto.Marshal(m.Interface())
	if err != nil {
		return nil, fmt.Errorf("writing a %s: %w", m.Descriptor().FullName(), err)
	}
	object := f.empty()
	if err := object.Unmarshal(encoded); err != nil {
		return nil, fmt.Errorf("writing a %s: %w", m.Descriptor().FullName(), err)
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("writing a %s: %w", m.Descriptor().FullName(), err)
	}
	return append(b, text...), nil
}

// quantityForm writes an amount even when it is none: it was reported by an
// executor, and must not hide the message around it.
type quantityForm struct{ special }

func (quantityForm) encode(b []byte, m protoreflect.Message) ([]byte, error) {
	text := m.Get(m.Descriptor().Fields().ByName("string")).String()
	if text == "" {
		text = "0"
	}
	if !hugeNumber.MatchString(text) {
		if quantity, err := resource.ParseQuantity(text); err == nil {
			text = quantity.String()
		}
	}
	return appendString(b, text), nil
}

// kubernetes reads raw into a pointer to a Go type of Kubernetes, notes what
// that type does not know, and names the path of what is wrong.
func (d *decoder) kubernetes(raw []byte, object any) error {
	strict, err := d.strict(raw, object)
	if err != nil {
		return d.locate(raw, object, err)
	}
	if !hasUnknown(strict) {
		d.note(strict)
		return nil
	}
	// Kubernetes insists on the case of names, our callers never had to: what
	// is unknown may be a known name in another case.
	renamed, changed := rename(raw, reflect.TypeOf(object).Elem())
	if !changed {
		d.note(strict)
		return nil
	}
	reflect.ValueOf(object).Elem().SetZero()
	again, err := d.strict(renamed, object)
	if err != nil {
		return d.locate(renamed, object, err)
	}
	for _, err := range strict {
		if !isUnknown(err) { // Renaming leaves one of those with the same name.
			again = append(again, err)
		}
	}
	d.note(again)
	return nil
}

// hugeNumber is one whose power of ten Kubernetes' parser computes for minutes.
var hugeNumber = regexp.MustCompile(`[0-9.][eE][+-]?[0-9]{4,}`)

// strict is Kubernetes' strict decoding. Text that could hold a quantity with
// a huge exponent is looked through first.
func (d *decoder) strict(raw []byte, object any) (strict []error, err error) {
	if hugeNumber.Match(raw) || bytes.Contains(raw, []byte(`\u`)) {
		check := func(inner *decoder) error { return inner.check(reflect.TypeOf(object).Elem()) }
		if err := d.sub(raw, check); err != nil {
			return nil, err
		}
	}
	return kubejson.UnmarshalStrict(raw, object)
}

// note turns what strict decoding found into warnings.
func (d *decoder) note(strict []error) {
	for _, err := range strict {
		path := ""
		var field kubejson.FieldError
		if errors.As(err, &field) {
			path = field.FieldPath()
		}
		d.warnings = append(d.warnings, Warning{Path: join(d.at.String(), path), Repeated: !isUnknown(err)})
	}
}

func hasUnknown(strict []error) bool {
	for _, err := range strict {
		if isUnknown(err) {
			return true
		}
	}
	return false
}

func isUnknown(err error) bool { return strings.HasPrefix(err.Error(), "unknown field") }

// locate finds the value that made decoding fail and says what it should be.
func (d *decoder) locate(raw []byte, object any, decoding error) error {
	var found *FieldError
	if errors.As(decoding, &found) {
		return decoding
	}
	check := func(inner *decoder) error { return inner.check(reflect.TypeOf(object).Elem()) }
	if err := d.sub(raw, check); err != nil {
		return err
	}
	return d.fail(decoding)
}
