internal import TesseraCore

extension FamilyModel {
  /// The families that a checkpoint fits, or else fits best.
  ///
  /// - Returns: Their names, and how many tensors of each do not fit; nil where no family's network is there.
  static func nearest(_ shapes: [String: Shape]) -> (families: [TokenizerFamily], misfits: Int)? {
    var best: (families: [TokenizerFamily], misfits: Int)?
    for family in FamilyEntry.all {
      guard let misfits = misfits(shapes, family) else { continue }
      if misfits < best?.misfits ?? .max {
        best = ([family.family], misfits)
      } else if misfits == best?.misfits {
        best?.families.append(family.family)
      }
    }
    return best
  }

  private static func misfits(_ shapes: [String: Shape], _ family: FamilyEntry) -> Int? {
    guard let tensors = try? FamilyTensors(shapes, of: family, weights: nil),
      let graphs = try? family.architecture.graphs(
        tensors.shapes,
        hasLogits: hasLogits(tensors, family)
      )
    else { return nil }
    let (encoder, decoder) = (graphs.encoder, graphs.decoder)
    // Without its levels a finite scalar quantizer is none yet, but it has no tensors either.
    let quantizer = try? quantizer(family, Choices(), encoder, decoder, tensors)
    let names = quantizer?.tensorNames ?? []
    let orphans = orphans(family, hasEncoder: encoder != nil, hasDecoder: decoder != nil)
    let unfit = NetworkGraph.mismatches(
      of: [encoder, decoder].compactMap(\.self),
      with: tensors.shapes,
      except: orphans.union(names)
    )
    let missing = names.count { tensors.entries[$0] == nil }
    return unfit.count + tensors.conflicts.count + graphs.disagreements.count + missing
  }
}
