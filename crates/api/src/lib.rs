//! Types and CustomResourceDefinitions of the API group nvidia.com
