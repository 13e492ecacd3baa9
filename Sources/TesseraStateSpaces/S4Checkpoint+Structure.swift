package import TesseraCore

extension S4Checkpoint {
  /// Every tensor of the checkpoint with all layers diagonal (S4D) or of low rank (S4).
  ///
  /// To S4D, P is dropped, after C has been restored where it was truncated: another system, and no
  /// approximation that has a bound. To S4, P is 0 of rank 1, which changes nothing but the rule of
  /// discretisation: S4 steps bilinearly, S4D by the zero-order hold unless its settings say otherwise.
  ///
  /// - Parameter structure: `diagonal` or `dplr`.
  /// - Returns: Names and tensors, what was done a sentence each, and the file's attributes.
  /// - Throws: `TesseraError` where there is no layer, or all of them have the structure.
  package func restructured(
    as structure: StateSpaceFile.Structure
  ) throws -> (
    tensors: [(name: String, tensor: Tensor)], notes: [String], attributes: [String: String]
  ) {
    precondition(structure != .dense, "S4's layers are diagonal or diagonal plus low rank")
    let lowRank = layers.filter { holds($0 + "P") }
    let others = layers.filter { !holds($0 + "P") }
    let changed = structure == .diagonal ? lowRank : others
    guard !changed.isEmpty else {
      let name = structure == .diagonal ? "S4D" : "S4"
      throw TesseraError.mismatch(
        layers.isEmpty
          ? "0 layers with inv_dt, A_real and C: no checkpoint of S4 version 4"
          : "all \(layers.count) layers are \(name) already"
      )
    }
    let restored = try resampled(by: 1)
    guard structure == .dplr else {
      let dropped = Set(changed.flatMap { [$0 + "P", $0 + "l_kernel"] })
      let note =
        "P of \(changed.count) layers is dropped: the kernels are others, and nothing undoes it; train on, or "
        + "compare with 'ssm kernel --s4'"
      return (restored.tensors.filter { !dropped.contains($0.name) }, [note], restored.attributes)
    }
    var tensors = restored.tensors
    for prefix in changed {
      guard let c = tensors.first(where: { $0.name == prefix + "C" })?.tensor,
        let real = tensors.first(where: { $0.name == prefix + "A_real" })?.tensor,
        real.shape.rank == 2, let size = c.elementType.byteCount(elements: 2)
      else { throw TesseraError.mismatch("\(prefix)A_real is no matrix") }
      let shape: Shape = [1, real.shape[0], real.shape[1], 2]
      let zeros = [UInt8](repeating: 0, count: (real.shape.elementCount ?? 0) * size)
      let p = Tensor(elementType: c.elementType, shape: shape, bytes: zeros)
      tensors.append((name: prefix + "P", tensor: p))
      tensors.append((name: prefix + "l_kernel", tensor: Tensor(shape: [], elements: [0 as Int64])))
    }
    let note =
      "P of \(changed.count) layers is 0: the same systems; S4 discretises them bilinearly, S4D mostly by zoh"
    return (tensors, [note], restored.attributes)
  }
}
