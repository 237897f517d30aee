//! dynamo-serve: the program that runs in the pods of a graph
