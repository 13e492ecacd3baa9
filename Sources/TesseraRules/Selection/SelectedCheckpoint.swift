package import TesseraCheckpoints
import TesseraCore

/// A part of a checkpoint under other names, as if it were one of its own.
package struct SelectedCheckpoint: CheckpointView {
  /// The tensors that are selected, under their new names.
  package let tensors: [TensorInfo]
  /// What the checkpoint says, and what was selected.
  package let notes: [String]
  /// What the selection leaves out.
  package let dropped: [DroppedTensor]
  /// The checkpoint's refusals that are not left out.
  package let refusals: [TensorRefusal]
  let base: any CheckpointReader
  private let stored: [String: TensorInfo]

  /// Selects from a checkpoint.
  ///
  /// - Throws: `TesseraError` where the choice is ambiguous or fits nothing, or where two
  ///   tensors would have one name.
  package init(_ selection: TensorSelection, of checkpoint: any CheckpointReader) throws {
    let rules = try selection.rules(for: checkpoint.tensors, unreadable: checkpoint.refusals)
    var stored: [String: TensorInfo] = [:]
    var names: [String: String] = [:]
    for rule in rules.rules {
      guard let source = rule.sources.first, let name = rule.targets.first else { continue }
      names[source.name] = name
      guard stored.updateValue(source, forKey: name) == nil else {
        throw TesseraError.mismatch(
          "two tensors have this name after --pick and --strip",
          place: name
        )
      }
    }
    var firsts: [String: String] = [:]
    var tensors: [TensorInfo] = []
    for tensor in checkpoint.tensors {
      guard let name = names[tensor.name] else { continue }
      let storage = tensor.aliasOf ?? tensor.name
      tensors.append(
        TensorInfo(
          name: name,
          elementType: tensor.elementType,
          shape: tensor.shape,
          // The first that is selected stands for the storage, wherever that was named first.
          aliasOf: firsts[storage]
        )
      )
      if firsts[storage] == nil { firsts[storage] = name }
    }
    self.tensors = tensors
    // What is left out is no loss that nobody asked for.
    let left = Set(rules.dropped.map(\.name))
    refusals = checkpoint.refusals.filter { $0.name.isEmpty || !left.contains($0.name) }
    notes = checkpoint.notes + rules.notes
    dropped = rules.dropped
    base = checkpoint
    self.stored = stored
  }

  /// The checkpoint's tensor that has this name here.
  package func place(of tensor: TensorInfo) -> (any TensorPlace)? {
    stored[tensor.name].map { ReaderTensor($0, of: base) }
  }
}

extension ConversionPlan {
  /// The plan with tensors named as dropped that it does not know of.
  package func naming(dropped: [DroppedTensor]) -> ConversionPlan {
    var plan = self
    plan.dropped = dropped + plan.dropped
    return plan
  }

  /// The plan with one more note, if there is one.
  package func noting(_ note: String?) -> ConversionPlan {
    var plan = self
    plan.notes += [note].compactMap { $0 }
    return plan
  }
}

extension SelectedCheckpoint: FileRunProviding {
  /// Where a tensor lies, if the checkpoint can say it.
  package func fileRun(of tensor: TensorInfo) -> FileRun? {
    guard let providing = base as? any FileRunProviding else { return nil }
    return stored[tensor.name].flatMap { providing.fileRun(of: $0) }
  }
}

extension SelectedCheckpoint: AttributeCopying {
  /// What the checkpoint's attributes become under the new names.
  package var attributeCopy: HDF5AttributeCopy? {
    let copy = (base as? any AttributeCopying)?.attributeCopy
    let names = Dictionary(stored.map { ($0.value.name, $0.key) }) { first, _ in first }
    return copy?.selecting(names, of: Set(base.tensors.map(\.name)))
  }
}
