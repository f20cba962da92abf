package podspec

import (
	"fmt"
	"strings"

	kubernetes "k8s.io/apimachinery/pkg/util/validation"

	"armada"
)

// ValidateServiceName tells what is wrong with the name that a job gives to one of
// its services.
func ValidateServiceName(name, path string) []armada.Violation {
	return named(name, path, "service", kubernetes.IsDNS1035Label(name))
}

// ValidateSecretName does the same for the secret with the certificate of an ingress.
func ValidateSecretName(name, path string) []armada.Violation {
	return named(name, path, "secret", kubernetes.IsDNS1123Subdomain(name))
}

func named(name, path, what string, wrong []string) []armada.Violation {
	if len(wrong) == 0 {
		return nil
	}
	return []armada.Violation{{Path: path, Message: fmt.Sprintf("%q cannot be the name of a %s: %s", clip(name), what, strings.Join(wrong, "; "))}}
}
