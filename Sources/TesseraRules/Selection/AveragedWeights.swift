import TesseraCore

/// The set of weights that `--pick ema` means: the one candidate of the highest score.
struct AveragedWeights {
  /// The beginning of the names.
  let prefix: String
  /// New names of tensors whose average is stored without dots.
  let names: [String: String]
  /// Why tensors are left out, where there is more to say than that they stand elsewhere.
  let reasons: [String: String]
  /// What was decided, and by what.
  let notes: [String]

  /// The scalars that averages count with.
  private static let counters: Set<String> = [
    "decay", "num_updates", "initted", "step", "n_averaged", "optimization_step",
  ]

  init(among names: [String]) throws(TesseraError) {
    let candidates = WeightCandidate.all(amongNames: names)
    let picked = try AveragedWeights.best(of: candidates, among: names)
    let prefix = AveragedWeights.innermost(picked.prefix, among: names)
    let inside = names.compactMap { WeightWrapper.rest(of: $0, under: prefix) }
    if let list = inside.first(where: { $0.hasPrefix("shadow_params.") }) {
      let cause =
        "--pick ema: '\(prefix).\(list)' is one of a list in the order of the model's parameters, "
        + "without names; load it in the training code and save a state dict"
      throw TesseraError.selection(cause, among: candidates.map(\.prefix))
    }
    self.prefix = prefix
    self.names = try AveragedWeights.dotted(prefix, among: names)
    reasons = AveragedWeights.reasons(prefix, among: names)
    notes = [AveragedWeights.note(on: picked, prefix, of: candidates)]
  }

  /// The prefix of the average itself: libraries wrap it once more, beside the weights that it is
  /// taken of.
  private static func innermost(_ prefix: String, among names: [String]) -> String {
    let inside = names.compactMap { WeightWrapper.rest(of: $0, under: prefix) }
    let wrapped = Set(inside.compactMap { WeightWrapper.parts(of: $0).dropLast().first }).filter {
      WeightCandidate.words(of: $0).contains("ema")
    }
    guard wrapped.count == 1, let part = wrapped.first,
      let inner = names.first(where: {
        WeightWrapper.rest(of: $0, under: prefix)?.hasPrefix(part) == true
      })
    else { return prefix }
    let depth = WeightWrapper.parts(of: prefix).count
    return WeightWrapper.prefix(of: inner, parts: depth + 1)
  }

  /// Why tensors that only training needs are left out.
  private static func reasons(_ prefix: String, among names: [String]) -> [String: String] {
    var reasons: [String: String] = [:]
    for (name, place) in zip(names, WeightCandidate.places(of: names)) {
      guard let role = place?.role, role.score == 0 else { continue }
      reasons[name] = "\(role.rawValue), for training alone"
    }
    for counter in counters where names.contains("\(prefix).\(counter)") {
      reasons["\(prefix).\(counter)"] = "a counter of the average"
    }
    return reasons
  }

  /// What was picked, and over what.
  private static func note(
    on picked: WeightCandidate,
    _ prefix: String,
    of candidates: [WeightCandidate]
  ) -> String {
    let others = candidates.filter { $0 != picked && $0.role.score > 0 }.map {
      "'\($0.prefix)' (\($0.role.rawValue), score \($0.role.score))"
    }
    let over = others.isEmpty ? "" : ", over \(others.joined(separator: ", "))"
    let kind = "\(picked.role.rawValue), score \(picked.role.score)"
    let raw = picked.role.score < WeightCandidate.Role.average.score
    return "the weights under '\(prefix)' (\(kind))\(over)"
      + (raw ? "; they are no average: the checkpoint holds none" : "")
  }

  /// The candidate with the highest score; of several at different depths the shallowest.
  private static func best(
    of candidates: [WeightCandidate],
    among names: [String]
  ) throws(TesseraError) -> WeightCandidate {
    let score = candidates.map(\.role.score).max() ?? 0
    guard score > 0 else {
      let cause = "--pick ema: no name says that it is an average, a student or a generator"
      throw TesseraError.selection(cause, among: WeightWrapper.candidates(among: names))
    }
    let equal = candidates.filter { $0.role.score == score }
    let depth = { (candidate: WeightCandidate) in WeightWrapper.parts(of: candidate.prefix).count }
    let shallowest = equal.map(depth).min()
    let found = equal.filter { depth($0) == shallowest }
    guard found.count == 1, let only = found.first else {
      let role = found.first?.role.rawValue ?? ""
      throw TesseraError.selection(
        "--pick ema is ambiguous: \(found.count) sets of weights have the score \(score) "
          + "(\(role)); name one with --pick KEY",
        among: found.map(\.prefix).sorted()
      )
    }
    return only
  }

  /// The names that LitEma takes the dots out of, with their dots: `model_ema.ab` is of `model.a.b`.
  private static func dotted(
    _ prefix: String,
    among names: [String]
  ) throws(TesseraError) -> [String: String] {
    let inside = names.compactMap { name in
      WeightWrapper.rest(of: name, under: prefix).map { (name: name, rest: $0) }
    }.filter { !counters.contains($0.rest) }
    guard inside.allSatisfy({ !$0.rest.contains(".") && !$0.rest.contains("/") }) else {
      return [:]
    }
    let parent = WeightWrapper.parts(of: prefix).dropLast().joined(separator: ".")
    var originals: [String: Set<String>] = [:]
    for name in names where WeightWrapper.rest(of: name, under: prefix) == nil {
      guard let rest = parent.isEmpty ? name : WeightWrapper.rest(of: name, under: parent) else {
        continue
      }
      let inModel = WeightWrapper.rest(of: rest, under: "model")
      for original in [rest, inModel].compactMap({ $0 }) {
        originals[original.filter { $0 != "." }, default: []].insert(original)
      }
    }
    var result: [String: String] = [:]
    var unknown: [String] = []
    for (name, rest) in inside {
      guard let found = originals[rest], found.count == 1, let original = found.first else {
        unknown.append(name)
        continue
      }
      result[name] = original
    }
    let changed = result.contains { WeightWrapper.rest(of: $0.key, under: prefix) != $0.value }
    guard changed else { return [:] }
    if let first = unknown.first {
      let cause =
        "--pick ema: the names of '\(prefix)' have lost their dots, and '\(first)' is the average of no "
        + "one tensor beside it"
      throw TesseraError.selection(cause, among: WeightWrapper.candidates(among: names))
    }
    return result
  }
}
