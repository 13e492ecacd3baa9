package import TesseraCheckpoints
import TesseraCore

/// What becomes of a tensor that shares its storage with another.
public enum TiedTensors: String, Sendable, Hashable, CaseIterable {
  /// Both names stand for the same bytes, where the format has that.
  case keep
  /// Each name has bytes of its own.
  case copy
  /// The second name is left out.
  case drop
}

/// A result that holds the same bytes as another.
package struct TensorTie: Sendable, Hashable {
  /// The name that repeats.
  package let name: String
  /// The name that comes first.
  package let original: String
}

extension ConversionPlan {
  /// The results that repeat others because their sources share storage and pass through the same
  /// operations.
  ///
  /// - Parameter checkpoint: The checkpoint of which this is the plan.
  /// - Returns: A tie for each result that repeats an earlier one.
  package func ties(in checkpoint: any CheckpointReader) -> [TensorTie] {
    var originals: [String: String] = [:]
    for tensor in checkpoint.tensors { originals[tensor.name] = tensor.aliasOf }
    let copies = outputs.filter { $0.tensor.aliasOf != nil }
    if originals.isEmpty, copies.isEmpty { return [] }
    var firsts: [Origin: String] = [:]
    var counts: [String: Int] = [:]
    var ties: [TensorTie] = []
    for output in outputs {
      if let original = output.tensor.aliasOf {
        ties.append(TensorTie(name: output.tensor.name, original: original))
        continue
      }
      guard output.sources.count == 1 else { continue }
      let source = output.sources[0]
      let origin = Origin(
        source: originals[source] ?? source,
        operations: output.operations,
        part: counts[source, default: 0],
        elementType: output.tensor.elementType,
        shape: output.tensor.shape
      )
      counts[source, default: 0] += 1
      if let first = firsts[origin] {
        ties.append(TensorTie(name: output.tensor.name, original: first))
      } else {
        firsts[origin] = output.tensor.name
      }
    }
    return ties
  }

  /// The plan without results that repeat others; they are named as dropped.
  package func dropping(_ ties: [TensorTie]) -> ConversionPlan {
    let names = Dictionary(ties.map { ($0.name, $0.original) }) { first, _ in first }
    var plan = self
    plan.outputs.removeAll { names[$0.tensor.name] != nil }
    plan.dropped += outputs.compactMap { output in
      names[output.tensor.name].map {
        DroppedTensor(name: output.sources[0], reason: "tied to '\($0)'")
      }
    }
    return plan
  }
}

/// What a result is made of, apart from its name.
private struct Origin: Hashable {
  let source: String
  let operations: [TensorOperation]
  /// Which of the results of the source it is: operations may split.
  let part: Int
  let elementType: ElementType
  let shape: Shape
}
