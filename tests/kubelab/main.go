// Command kubelab holds the parts of a Kubernetes control plane that Daymark's lab runs: etcd, the API server,
// the controller manager and kube-proxy, each as a subcommand with the flags of the original program; and `keygen`,
// which writes the key that signs the lab's service-account tokens.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
)

// components maps a subcommand to the constructor of the program behind it.
var components = map[string]func() *cobra.Command{
	"apiserver":          apiserver.NewAPIServerCommand,
	"controller-manager": controllermanager.NewControllerManagerCommand,
	"proxy":              proxy.NewProxyCommand,
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	name := os.Args[1]
	// Each program expects its own name in os.Args[0] and its flags behind it.
	os.Args = append([]string{"kubelab-" + name}, os.Args[2:]...)
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
		return
	case "keygen":
		if len(os.Args) != 2 {
			usage()
		}
		if err := writeKey(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, "kubelab keygen:", err)
			os.Exit(1)
		}
		return
	}
	newCommand, known := components[name]
	if !known {
		usage()
	}
	os.Exit(cli.Run(newCommand()))
}

// writeKey writes a new P-256 private key in PEM, readable by its owner only.
func writeKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: kubelab etcd|apiserver|controller-manager|proxy [flags of that program] | keygen FILE")
	os.Exit(2)
}
