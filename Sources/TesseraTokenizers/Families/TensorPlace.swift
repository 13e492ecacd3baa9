import TesseraCheckpoints
internal import TesseraCore

/// Where a family's tensors stand in a checkpoint: how their names are spelled, and what comes before them.
struct TensorPlace: Sendable {
  let spelling: NamingScheme
  let prefix: String
  /// Whether the prefix says that what follows are averages.
  let isAveraged: Bool

  /// Parts of a name that stand around a tokenizer's tensors: keys of training's dictionaries, and what the
  /// tokenizer is called inside of a larger model.
  static let wrappers: Set<String> = [
    "state_dict", "model", "ema", "ema_state_dict", "params", "params_ema", "module", "net",
    "vqmodel", "gen_vision_model", "first_stage_model", "vision_tokenizer", "image_tokenizer",
    "vq_model", "vqvae", "vqgan", "vae", "movq", "tokenizer", "autoencoder", "trainer",
    "image_codebook", "encoder",
    "_orig_mod", "weights", "checkpoint",
  ]

  /// Those of them that say that what follows are averages.
  private static let averages: Set<String> = ["ema", "ema_state_dict", "params_ema"]

  /// The first spelling that is there; of several places the one with the wanted weights.
  ///
  /// - Parameters:
  ///   - spellings: What is looked for, in this order.
  ///   - shapes: Every tensor of the checkpoint.
  ///   - averaged: Whether averages are wanted.
  /// - Returns: The place, or nil where there is none.
  /// - Throws: `ambiguous` where two places are equally good: nothing says which tokenizer is meant.
  static func find(
    _ spellings: [NamingScheme],
    in shapes: [String: Shape],
    averaged: Bool
  ) throws(TesseraError) -> TensorPlace? {
    func rank(_ place: TensorPlace) -> (Int, Int, String) {
      (place.isAveraged == averaged ? 0 : 1, place.prefix.count, place.prefix)
    }
    for spelling in spellings {
      let places = all(spelling, in: shapes).sorted { rank($0) < rank($1) }
      guard let best = places.first else { continue }
      let other = places.first { $0.prefix != best.prefix && $0.isAveraged == best.isAveraged }
      if let other { throw .ambiguous(name: "\(other.prefix)*", other: "\(best.prefix)*") }
      return best
    }
    return nil
  }

  private static func all(_ spelling: NamingScheme, in shapes: [String: Shape]) -> [TensorPlace] {
    var places: [TensorPlace] = []
    for anchor in spelling.anchors {
      for name in shapes.keys where name.hasSuffix(anchor) {
        let prefix = String(name.dropLast(anchor.count))
        let parts = prefix.split(separator: ".").map(String.init)
        guard prefix.isEmpty || prefix.hasSuffix("."), parts.allSatisfy(wrappers.contains) else {
          continue
        }
        let isAveraged = parts.contains(where: averages.contains)
        places.append(TensorPlace(spelling: spelling, prefix: prefix, isAveraged: isAveraged))
      }
    }
    return places
  }
}
