import Synchronization
import TesseraCore
import TesseraImages

/// The inputs of a plan as they are looked at, one by one and as often as they are asked for.
///
/// What is wrong with an input's caption refuses it. What this machine cannot find out, such as the size of
/// a file whose mount is gone, is kept for ``check()``: no plan is made of it.
final class InputPlanning: Sendable {
  private let failure = Mutex<(any Error)?>(nil)
  private let tally = Mutex(CaptionCounts())

  /// What became of captions, over all inputs that were looked at so far.
  var captions: CaptionCounts { tally.withLock { $0 } }

  /// Looks at inputs.
  ///
  /// - Parameters:
  ///   - inputs: The inputs.
  ///   - captions: Finds their captions; nil where none are asked for.
  /// - Returns: The inputs of the plan, in order.
  func inputs(
    of inputs: [ImageInput],
    captions: CaptionLookup?
  ) -> LazyMapSequence<EnumeratedSequence<[ImageInput]>, PlannedInput> {
    inputs.enumerated().lazy.map { [self] index, input in
      let planned = planned(input, at: index, captions)
      if let problem = planned.problem { note(problem) }
      return planned
    }
  }

  /// Throws what could not be found out, where there was such a thing.
  func check() throws { if let error = failure.withLock({ $0 }) { throw error } }

  private func planned(
    _ input: ImageInput,
    at index: Int,
    _ captions: CaptionLookup?
  ) -> PlannedInput {
    guard let captions else { return PlannedInput(input) }
    do {
      let caption = try captions.caption(of: input, at: index)
      count(caption, of: input)
      return PlannedInput(input, caption: caption ?? "")
    } catch let error as TesseraError where !error.isMachineFault {
      tally.withLock { $0.refused += 1 }
      let refused = ImageInput(
        key: input.key,
        source: input.source,
        location: .refused(reason: error.cause)
      )
      return PlannedInput(refused, caption: "")
    } catch {
      note(error)
      return PlannedInput(input, caption: "")
    }
  }

  private func count(_ caption: String?, of input: ImageInput) {
    if case .refused = input.location { return }
    tally.withLock { counts in
      switch caption {
      case nil:
        counts.missing += 1
        if counts.bare == nil { counts.bare = input.source }
      case ""?: counts.empty += 1
      case _?: counts.matched += 1
      }
    }
  }

  private func note(_ error: any Error) {
    failure.withLock { if $0 == nil { $0 = error } }
  }
}
